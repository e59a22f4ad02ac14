"""For timm: ``model.safetensors`` and ``config.json``, as in a repository of the Hugging Face Hub."""

import json
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import nn

from ctc_lightning.export.format import Format
from ctc_lightning.export.trained import Trained
from ctc_lightning.export.twin import call, fill_twin, outputs_of

_RGB = 3


class TimmFormat(Format):
    """The state dict that ``timm.create_model(NAME, num_classes=L)`` loads strictly; L = 0: no classifier.

    ``config.json`` lets ``timm.create_model("local-dir:FOLDER", pretrained=True)`` build the same network,
    and `timm.data.resolve_model_data_config` its input. A torchvision backbone fits too where timm has the
    same network by the same name, as its ResNets are.

    Args and errors as for `Format`.
    """

    library = "timm"

    def write(self, trained: Trained, folder: Path) -> str:
        """See `Format.write`."""
        if not timm.is_model(trained.model):
            raise ValueError(
                f"timm has no {trained.model}, so format=timm cannot hold {trained.title}; choose "
                "format=safetensors or format=onnx."
            )
        arguments = self.arguments(trained)
        with torch.random.fork_rng(devices=[]):
            twin: Any = self.create(trained, arguments)
            classifiers = twin.pretrained_cfg.get("classifier")
            if trained.classifier is not None and not classifiers:
                raise ValueError(
                    f"timm does not say where {trained.model} has its classifier; leave out classifier=true."
                )
            names = [classifiers] if isinstance(classifiers, str) else list(classifiers or ())
            state = fill_twin(twin, trained, names, "timm")
            save_file(
                state,
                folder / "model.safetensors",
                metadata={"format": "pt", "classes": json.dumps(trained.classes)},
            )
            (folder / "config.json").write_text(
                json.dumps(self.config(trained, twin, arguments), indent=2) + "\n"
            )
            loaded = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        self.compare(trained, outputs_of(loaded, trained), trained.outputs(trained.images()))
        by_name = call("timm.create_model", trained.model, {"num_classes": trained.num_classes, **arguments})
        return (
            "import timm\nfrom safetensors.torch import load_file\n\n"
            'model = timm.create_model("local-dir:.", pretrained=True).eval()\n'
            f"# or\nmodel = {by_name}.eval()\n"
            'model.load_state_dict(load_file("model.safetensors"), strict=True)'
        )

    def arguments(self, trained: Trained) -> dict[str, Any]:
        """What the model's constructor is given beside the number of classes."""
        channels, height, _ = trained.input.shape
        arguments = {} if channels == _RGB else {"in_chans": channels}
        published = timm.get_pretrained_cfg(trained.model)
        if published is not None and published.fixed_input_size:
            arguments["img_size"] = height
        return {**arguments, **trained.options}

    def create(self, trained: Trained, arguments: dict[str, Any]) -> nn.Module:
        """An empty twin."""
        try:
            twin: nn.Module = timm.create_model(trained.model, num_classes=trained.num_classes, **arguments)
        except (TypeError, RuntimeError) as error:
            raise ValueError(
                f"timm's {trained.model} cannot be made with {arguments} ({error}); choose "
                "format=safetensors."
            ) from error
        return twin

    def config(self, trained: Trained, twin: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        """The Hub's ``config.json``: what makes the network, and what it expects to see."""
        expected = trained.input
        published = twin.pretrained_cfg
        config = {
            "architecture": trained.model,
            "num_classes": trained.num_classes,
            "num_features": trained.num_features,
            "pretrained_cfg": {
                "input_size": list(expected.shape),
                "fixed_input_size": bool(published.get("fixed_input_size")),
                "interpolation": trained.fit.interpolation,
                "crop_pct": trained.fit.share,
                "crop_mode": "center",
                "mean": list(expected.mean),
                "std": list(expected.std),
                "num_classes": trained.num_classes,
                "first_conv": published.get("first_conv"),
                "classifier": published.get("classifier"),
                "custom_load": False,
            },
        }
        if arguments:
            config["model_args"] = arguments
        if trained.classifier is not None and trained.classes:
            config["label_names"] = list(trained.classes)
        return config
