"""For torchvision: a state dict that its own network of that name loads strictly."""

import json
from pathlib import Path
from typing import Any

import torch
import torchvision.models
from safetensors.torch import load_file, save_file
from torch import nn

from ctc_lightning.export.format import Format
from ctc_lightning.export.trained import Trained
from ctc_lightning.export.twin import call, fill_twin, outputs_of

_RGB = 3


class TorchvisionFormat(Format):
    """The state dict of ``torchvision.models.NAME(num_classes=L)``.

    torchvision knows no network without a classifier. Without ours the file therefore has no tensors for it,
    and ``load_state_dict(strict=True)`` takes it once the last linear layer is an identity; the model card
    has the line. A timm backbone fits too where torchvision has the same network by the same name, as timm's
    ResNets are.

    Args:
        file: the file's name, ``*.pth`` or ``*.safetensors``.
        tolerance: see `Format`.

    Raises:
        ValueError: another ending; see `Format`.
    """

    library = "torchvision"

    def __init__(self, file: str, tolerance: float) -> None:
        super().__init__(tolerance)
        if Path(file).suffix not in {".pth", ".safetensors"} or Path(file).name != file:
            raise ValueError(
                f"format.file is {file}; give a name that ends in .pth or .safetensors, without a folder."
            )
        self.file = file

    def write(self, trained: Trained, folder: Path) -> str:
        """See `Format.write`."""
        channels, height, _ = trained.input.shape
        if trained.model not in torchvision.models.list_models(torchvision.models) or channels != _RGB:
            what = trained.model if channels == _RGB else f"{trained.model} for images of {channels} channels"
            raise ValueError(
                f"torchvision has no {what}, so format=torchvision cannot hold {trained.title}; choose "
                "format=safetensors or format=onnx."
            )
        sized = {"image_size": height} if trained.model.startswith("vit_") else {}
        arguments = {**sized, **trained.options}
        if trained.classifier is not None:
            arguments["num_classes"] = trained.num_classes
        with torch.random.fork_rng(devices=[]):
            twin, place = self.create(trained, arguments)
        state = fill_twin(twin, trained, [place], "torchvision")
        path = folder / self.file
        if path.suffix == ".pth":
            torch.save(state, path)
            reader, read = 'torch.load("{}", weights_only=True)', torch.load(path, weights_only=True)
        else:
            save_file(state, path, metadata={"format": "pt", "classes": json.dumps(trained.classes)})
            reader, read = 'load_file("{}")', load_file(path)
        twin.load_state_dict(read, strict=True)
        self.compare(trained, outputs_of(twin, trained), trained.outputs(trained.images()))
        lines = ["import torch", "import torchvision"]
        if path.suffix != ".pth":
            lines.append("from safetensors.torch import load_file")
        lines += ["", f"model = {call('torchvision.models.get_model', trained.model, arguments)}.eval()"]
        if trained.classifier is None:
            lines.append(f'model.set_submodule("{place}", torch.nn.Identity())  # features come out')
        lines.append(f"model.load_state_dict({reader.format(self.file)}, strict=True)")
        return "\n".join(lines)

    def create(self, trained: Trained, arguments: dict[str, Any]) -> tuple[nn.Module, str]:
        """An empty twin, without a classifier if ours stays behind, and where it has or had it."""
        try:
            twin: nn.Module = torchvision.models.get_model(trained.model, **arguments)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"torchvision's {trained.model} cannot be made with {arguments} ({error}); choose "
                "format=safetensors."
            ) from error
        place = [path for path, module in twin.named_modules() if isinstance(module, nn.Linear)][-1]
        if trained.classifier is None:
            twin.set_submodule(place, nn.Identity())
        return twin, place
