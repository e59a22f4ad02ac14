"""Parts that describe themselves: the options and the version of the code that a number depends on."""

from typing import Any, ClassVar


class Versioned:
    """Base of protocols, estimators and their parts.

    Attributes:
        version: of the code of this class. Raise it when a change of the code changes numbers: what was
            measured before is then measured again.
    """

    version: ClassVar[int] = 1

    @property
    def settings(self) -> dict[str, Any]:
        """The public attributes, which are the constructor's arguments, as plain values."""
        return {
            name: value.description if isinstance(value, Versioned) else value
            for name, value in vars(self).items()
            if not name.startswith("_")
        }

    @property
    def description(self) -> dict[str, Any]:
        """All that a digest needs: name of the class, versions of the class and its bases, settings."""
        versions = {c.__qualname__: vars(c)["version"] for c in type(self).__mro__ if "version" in vars(c)}
        return {"class": type(self).__qualname__, "versions": versions, "settings": self.settings}
