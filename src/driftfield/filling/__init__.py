"""From a file with gaps, or from scattered values, to a field with its spread: methods are chosen on what was observed.

a record on a grid (`driftfield fill`)

    record     what was seen, where the field exists, in which units it is filled       `record.py`, `quantity.py`
    validate   every method that fits the record, on blocks hidden from it              `methods.py`, `validation.py`
    fill       the best of them, fitted to everything                                   `filling.py`, `calls.py`
    say        the table of what was tried, a picture, a recipe to go on with           `account.py`, `picture.py`

scattered values (`driftfield map`): `points.py` and the `point_` files
"""
