"""The two applications: the page and the media over HTTPS, the JSON API over the unix socket."""

import msgspec
from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from controller.errors import Refused
from controller.parts import Parts
from controller.web import api, api_enrol, api_people, api_preview, api_reports, api_rollouts, api_trust, media
from controller.web.answers import http_error, malformed, refused
from controller.web.pages import routes


def create_app(parts: Parts) -> Litestar:
    """What officers' browsers and nodes reach. Nothing of the API is in it."""
    return Litestar(
        [media.give, media.give_documents, *routes], state=State({"parts": parts}), openapi_config=None, logging_config=None
    )


def create_api(parts: Parts) -> Litestar:
    """What `loa` reaches, by a socket that only its user can open."""
    return Litestar(
        [
            *api.routes,
            *api_people.routes,
            *api_preview.routes,
            *api_reports.routes,
            *api_rollouts.routes,
            *api_trust.routes,
            *api_enrol.routes,
        ],
        state=State({"parts": parts}),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=api.MOST_BYTES,
        exception_handlers={
            Refused: refused,
            HTTPException: http_error,
            msgspec.MsgspecError: malformed,
            UnicodeDecodeError: malformed,  # what msgspec raises of bytes that are no UTF-8
            RecursionError: malformed,  # and of what is nested too deep
        },
    )
