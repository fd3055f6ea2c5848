"""What belongs to link prediction in a configuration."""

from __future__ import annotations

from typing import Any

from aswa.config.schema import ConfigError, unknown


def check_link_prediction(options: dict[str, Any]) -> None:
    """Ranges and choices of a link predictor's options.

    Raises:
        ConfigError: names the key and what would do.
    """
    objectives = ("kvsall", "1vsall", "negative_sampling")
    objective = str(options["objective"])
    if objective not in objectives:
        raise ConfigError(unknown(f"model.objective={objective}", objective, objectives))
    for key in ("input_dropout", "hidden_dropout", "label_smoothing"):
        if not (isinstance(options[key], (int, float)) and 0 <= options[key] < 1):
            raise ConfigError(f"model.{key}={options[key]}: must be a number in [0, 1)")
    for key in ("dim", "negatives"):
        if not (isinstance(options[key], int) and options[key] >= 1):
            raise ConfigError(f"model.{key}={options[key]}: must be a whole number, at least 1")
    if not (isinstance(options["init_scale"], (int, float)) and options["init_scale"] > 0):
        raise ConfigError(f"model.init_scale={options['init_scale']}: must be a number above 0")
    if objective == "negative_sampling" and options["label_smoothing"]:
        raise ConfigError(
            "model.label_smoothing: negative_sampling has no smoothed labels; set it to 0"
        )
