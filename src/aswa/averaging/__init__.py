"""Weight averaging for any PyTorch training loop. Imports torch only.

    from aswa.averaging import ASWA

    aswa = ASWA(model)
    for epoch in range(epochs):
        train_one_epoch(model, loader, optimizer)
        decision = aswa.update(model, evaluate)     # evaluate(module) -> float, higher is better
    torch.save(aswa.module.state_dict(), "averaged.pt")

`SGD`, `SWA`, `EMA`, `EarlyStopping`, `PolynomialDecay`, `ASWA` and `ReleasedASWA` share one
protocol, `Averager`: `update` once an epoch, `step` once an optimizer step, `module` or `members()`
to evaluate and deploy, `state_dict` to resume exactly. `SWAG` and `GatedSWAG` also draw models
around SWA's and ASWA's mean. An averager only watches: it never changes the running model, its mode
or torch's random state, so any number of them can ride on one run.

Caveats:

- ASWA selects on validation data every epoch. Compare it with the best epoch by validation
  (`EarlyStopping` with infinite patience), not with the last epoch.
- Batch-norm: give `batches=loader`, training inputs from which the statistics of averaged weights
  are recomputed. ASWA does so before it scores; for SWA and EMA `members()` does, so call it
  before `module` is evaluated or saved.
- Frozen parameters are shared, not copied: whatever changes them changes the average too, and
  they must not be unfrozen later.
- Generators of numpy and `random` from which `evaluate` or a loader draws are not put back.
"""

from aswa.averaging.aswa import ASWA
from aswa.averaging.aswa_released import ReleasedASWA
from aswa.averaging.averaged_model import AveragedModel
from aswa.averaging.averager import Averager, Decision
from aswa.averaging.batch_norm import has_batch_norm, recompute_batch_norm
from aswa.averaging.early_stopping import EarlyStopping
from aswa.averaging.ema import EMA
from aswa.averaging.gated_swag import GatedSWAG
from aswa.averaging.gaussian import Gaussian
from aswa.averaging.polynomial_decay import PolynomialDecay
from aswa.averaging.sgd import SGD
from aswa.averaging.swa import SWA
from aswa.averaging.swag import SWAG, multi_swag

__all__ = [
    "ASWA",
    "EMA",
    "SGD",
    "SWA",
    "SWAG",
    "AveragedModel",
    "Averager",
    "Decision",
    "EarlyStopping",
    "GatedSWAG",
    "Gaussian",
    "PolynomialDecay",
    "ReleasedASWA",
    "has_batch_norm",
    "multi_swag",
    "recompute_batch_norm",
]
