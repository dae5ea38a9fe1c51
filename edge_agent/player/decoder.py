"""One libVLC player that turns media into 48 kHz mono samples; only one thread at a time may call it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import vlc

from edge_agent.player.pcm import RATE, WIDTH

OPTIONS = ("--no-video", "--quiet", "--intf=dummy", "--no-stats", "--no-audio-time-stretch", "--no-spu", "--no-osd")
CONVERTING = (*OPTIONS, "--audio-resampler=speex_resampler")
"""libVLC takes this resampler only when it is named, and once named also puts 48 kHz through it (32 samples late
and not bit-equal); so what is 48 kHz already goes through an instance without one."""


def new_instance(*, native: bool) -> vlc.Instance:
    """The libVLC for recordings at 48 kHz, or for all else. Raises OSError."""
    instance = vlc.Instance(list(OPTIONS if native else CONVERTING))
    if instance is None:
        raise OSError("libVLC cannot start; install libvlc5 and vlc-plugin-base")
    return instance


class Decoder:
    """A player with callbacks. They run in libVLC's threads: they append and set flags, and never call libVLC."""

    def __init__(
        self,
        instance: vlc.Instance,
        media: vlc.Media,
        *,
        on_samples: Callable[[bytes], None],
        on_flush: Callable[[], None],
        on_end: Callable[[], None],
        on_error: Callable[[], None],
    ) -> None:
        """Take the media over and make ready."""
        self._player = player = instance.media_player_new()
        self._callbacks = (
            vlc.CallbackDecorators.AudioPlayCb(
                lambda _opaque, samples, count, _pts: on_samples(ctypes.string_at(samples, count * WIDTH))
            ),
            vlc.CallbackDecorators.AudioFlushCb(lambda _opaque, _pts: on_flush()),
            vlc.CallbackDecorators.AudioDrainCb(lambda _opaque: on_end()),
        )
        vlc.libvlc_audio_set_callbacks(player, self._callbacks[0], None, None, *self._callbacks[1:], None)
        vlc.libvlc_audio_set_format(player, b"S16N", RATE, 1)
        self._events = player.event_manager()
        self._events.event_attach(vlc.EventType.MediaPlayerEndReached, lambda _event: on_end())
        self._events.event_attach(vlc.EventType.MediaPlayerEncounteredError, lambda _event: on_error())
        player.set_media(media)
        media.release()

    def start(self) -> bool:
        """Begin; False when libVLC will not."""
        return bool(self._player.play() == 0)

    def pause(self, *, on: bool) -> None:
        """Hold libVLC, or let it go on; nothing is lost."""
        self._player.set_pause(int(on))

    def release(self) -> None:
        """Stop, and free what is held. While a name is being looked up in vain this takes up to 20 s."""
        self._player.stop()
        self._events.event_detach(vlc.EventType.MediaPlayerEndReached)
        self._events.event_detach(vlc.EventType.MediaPlayerEncounteredError)
        self._player.release()
