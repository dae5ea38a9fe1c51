"""The officer's page: every route of it, for the HTTPS application to mount."""

from typing import Final

from litestar.types import ControllerRouterHandler

routes: Final[list[ControllerRouterHandler]] = []
