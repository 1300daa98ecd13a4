"""What the attributes of an analysis tell: method, cost, and what became of every observation."""

__all__ = ["provenance"]

import json
from collections.abc import Mapping

from driftfield.assimilation.drawing import Drawing, Drawn
from driftfield.evaluate.observation_space import ObservationScores
from driftfield.observations.checks import Account
from driftfield.observations.withholding import Withholding
from driftfield.plain import JSONObject


def provenance(
    method: str,
    drawing: Drawing,
    drawn: Drawn,
    account: Account,
    withholding: Withholding | None,
    scores: Mapping[str, ObservationScores],
) -> JSONObject:
    """Global attributes.

    Arguments:
        method: Name of the guidance method.
        drawing: What drew.
        drawn: What it drew.
        account: Of all observations.
        withholding: What was withheld, if anything was.
        scores: Of what was withheld, per variable.
    """
    (forward, backward), total = drawing.evaluations, account.total
    attrs: JSONObject = {
        "method": f"assimilation_{method}",
        "guidance": method,
        "guidance_options": json.dumps(drawing.guidance.options(), sort_keys=True),
        "error_inflation": float(drawing.errors.inflation),
        "network_evaluations": forward + 2 * backward,
        "network_evaluations_forward": forward,
        "network_evaluations_backward": backward,
        "observations_read": total.read,
        "observations_usable": total.kept,
        "observations_used": drawn.guided,
        "observations_far_from_dates": drawn.far,
        "observations_dropped": json.dumps(dict(total.dropped), sort_keys=True),
    }
    if withholding is None:
        return attrs
    return attrs | {
        "observations_withheld": int(withholding.withheld.sum()),
        "observations_in_margin": int(withholding.margin.sum()),
        "withheld_scores": json.dumps({name: one.to_json() for name, one in scores.items()}, sort_keys=True),
    }
