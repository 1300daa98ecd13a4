"""From a record with gaps to complete fields with an honest spread, in one call: `driftfield fill`, `driftfield.fill`.

record     what was seen, where the field exists, in which units it is filled       `record.py`, `quantity.py`
validate   every method that fits the record, on blocks hidden from it              `methods.py`, `validation.py`
fill       the best of them, fitted to everything                                   `filling.py`
say        the table of what was tried, a picture, a recipe to go on with           `account.py`, `picture.py`
"""
