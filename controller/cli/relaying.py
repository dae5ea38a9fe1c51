"""`loa emergency start --service`: a relay's recording, sealed by the signer's service key. Needs serve."""

import msgspec

from controller.actions.views import IncidentView, MediaView, Request
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.orders import Words, find_media
from provisioning.errors import InputRefused
from provisioning.terminal import print_json, say


def relay(folder: StateFolder, areas: tuple[str, ...], words: Words, *, as_json: bool) -> None:
    """Ask serve to start these recordings. Raises InputRefused, also with the reason of the signer."""
    if words.text or not words.clips:
        raise InputRefused("a service key says recordings that its grant lists, and no words: give --clip and no text")
    with Link(folder.socket) as link:
        library = link.get("/v1/media", list[MediaView])
        named = [entry.partition("=") if "=" in entry else ("vi", "", entry) for entry in words.clips]
        request = Request(
            areas=areas,
            texts=(),
            clips=tuple(find_media(library, name).sha256 for _lang, _sign, name in named),
            clip_langs=tuple(lang for lang, _sign, _name in named),
            risk=words.risk,
            issuing_body=words.issuing_body,
            source_doc=words.source_doc,
            repeats=words.repeats,
            exercise=words.exercise,
            sound_max_s=words.sound_max_s,
            accept_s=words.accept_s,
        )
        view = link.post("/v1/emergencies/service", msgspec.to_builtins(request), IncidentView)
    if as_json:
        print_json(view)
        return
    say(f"Relay started: incident {view.incident} in {', '.join(view.area_names)}.", style="bold")
