"""For this package: the tensors by their names here, for ``network.pretrained=FILE``."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ctc_lightning.export.format import Format
from ctc_lightning.export.trained import Trained
from ctc_lightning.export.twin import call
from ctc_lightning.networks import create_backbone

_FILE = "model.safetensors"
_CLASSIFIER = "classifier."


class SafetensorsFormat(Format):
    """``model.safetensors``: any backbone; the classifier as ``classifier.weight`` and ``classifier.bias``.

    Its metadata say what makes the network and what it expects to see, each as JSON.

    Args and errors as for `Format`.
    """

    library = "ctc_lightning"

    def write(self, trained: Trained, folder: Path) -> str:
        """See `Format.write`."""
        state = {name: tensor.detach().contiguous() for name, tensor in trained.backbone.state_dict().items()}
        if trained.classifier is not None:
            head = {
                _CLASSIFIER + name: tensor.detach()
                for name, tensor in trained.classifier.state_dict().items()
            }
            assert not head.keys() & state.keys(), "a backbone has a tensor of the classifier's name"
            state |= head
        save_file(state, folder / _FILE, metadata=self.metadata(trained))
        channels, height, _ = trained.input.shape
        made = {"stem": trained.stem, "image_channels": channels, "image_size": height, **trained.options}
        written = load_file(folder / _FILE)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            backbone = create_backbone(trained.name, **made).eval()
            backbone.load_state_dict({name: written[name] for name in trained.backbone.state_dict()})
            found = backbone(trained.images())
            if trained.classifier is not None:
                weight_LF, bias_L = (written[_CLASSIFIER + part] for part in ("weight", "bias"))
                found = torch.nn.functional.linear(found, weight_LF, bias_L)
        self.compare(trained, found, trained.outputs(trained.images()))
        lines = [
            "from ctc_lightning.networks import create_backbone",
            "",
            f"backbone = {call('create_backbone', trained.name, {'pretrained': _FILE, **made})}.eval()",
        ]
        if trained.classifier is not None:
            lines[:1] = [
                lines[0],
                "from safetensors.torch import load_file",
                "from torch.nn.functional import linear",
            ]
            lines += [
                f'state = load_file("{_FILE}")',
                'logits = linear(backbone(images), state["classifier.weight"], state["classifier.bias"])',
            ]
        return "\n".join(lines)

    def metadata(self, trained: Trained) -> dict[str, str]:
        """Strings, as the file format asks for."""
        values = {
            "backbone": trained.name,
            "stem": trained.stem,
            "backbone_options": trained.options,
            "input": trained.input._asdict(),
            "fit": trained.fit._asdict(),
            "classes": trained.classes,
        }
        return {"format": "pt"} | {name: json.dumps(value) for name, value in values.items()}
