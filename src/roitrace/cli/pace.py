"""How fast a step goes, when it will end, and the words for it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from roitrace.units import format_bytes

if TYPE_CHECKING:
    from roitrace.watching import Standing

__all__ = ["Pace", "Rates", "format_frames", "format_seconds"]

_WINDOW = 20.0
_KEPT = 200


class Rates(NamedTuple):
    """How fast a step goes; None where nobody knows yet.

    Attributes
    ----------
    bytes_per_second, frames_per_second : float or None
        Decoded bytes and frames, lately; over all of the step once it has ended. A step may count bytes only.
    seconds_left : float or None
        Until its end, at this rate.
    """

    bytes_per_second: float | None
    frames_per_second: float | None
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class _Moment:
    time: float
    standing: Standing


class Pace:
    """What is known of a step from its standings so far.

    Rates are those of the last 20 seconds, so that an estimate follows a disk or a network that gets slower.
    """

    def __init__(self, now: float) -> None:
        self.begin = now
        self.seconds = 0.0
        self._moments: deque[_Moment] = deque(maxlen=_KEPT)

    def note(self, now: float, standing: Standing) -> None:
        """Take where the step stands; a step that begins anew (several computations) begins to count anew."""
        if self._moments and standing.tasks < self._moments[-1].standing.tasks:
            self._moments.clear()
            self.begin = now
        self.seconds = now - self.begin
        latest = self._moments[-1].time if len(self._moments) > 1 else self.begin
        # a moment in ten seconds' hundredth is enough: steps may have a million tasks
        if not self._moments or now - latest >= _WINDOW / _KEPT or standing.ended:
            self._moments.append(_Moment(now, standing))
        while len(self._moments) > 2 and now - self._moments[1].time > _WINDOW:
            self._moments.popleft()

    def rates(self) -> Rates:
        """Return how fast it goes."""
        if len(self._moments) < 2:
            return Rates(None, None, None)
        last = self._moments[-1]
        first = (
            _Moment(self.begin, self._moments[0].standing) if last.standing.part >= 1 else self._moments[0]
        )
        seconds = last.time - first.time
        part = last.standing.part - first.standing.part
        if last.standing.ended:
            part, done = 1.0, last.standing.done
            frames, nbytes = done.frames, float(done.nbytes)
        else:
            frames = last.standing.done.frames - first.standing.done.frames
            nbytes = float(last.standing.done.nbytes - first.standing.done.nbytes)
        if seconds <= 0 or part <= 0:
            return Rates(None, None, None)
        left = (1 - last.standing.part) * seconds / part
        whole = last.standing.whole
        return Rates(
            nbytes / seconds if whole.nbytes else None, frames / seconds if whole.frames else None, left
        )

    def words(self, standing: Standing, *, short: bool = False) -> str:
        """Say how far the step is and how fast it goes; `short` for narrow terminals."""
        rates, whole = self.rates(), standing.whole.nbytes
        ended = standing.ended
        amount = (
            _amount(standing.done.nbytes, whole, short=short)
            if whole
            else f"{standing.tasks}/{standing.all_tasks} tasks"
        )
        parts = [amount]
        if rates.bytes_per_second is not None:
            parts.append(f"{format_bytes(rates.bytes_per_second)}/s")
        if rates.frames_per_second is not None:
            parts.append(f"{format_frames(rates.frames_per_second)} {'f' if short else 'frames'}/s")
        if ended:
            parts.append(format_seconds(self.seconds))
        elif rates.seconds_left is not None:
            parts.append(f"{format_seconds(rates.seconds_left)} left")
        return (" " if short else ", ").join(parts)


def _amount(done: int, whole: int, *, short: bool) -> str:
    total = format_bytes(whole)
    if done >= whole:
        return total
    number, unit = total.split(" ")
    scale = whole / float(number) if float(number) else 1.0
    so_far = f"{done / scale:.0f}" if unit == "B" else f"{done / scale:.1f}"
    return f"{so_far}/{number} {unit}" if short else f"{so_far} of {number} {unit}"


def format_frames(count: float) -> str:
    """Write a number of frames in few letters.

    Examples
    --------
    >>> format_frames(7.53), format_frames(952), format_frames(12345), format_frames(2.5e6)
    ('7.5', '952', '12.3k', '2.5M')
    """
    for limit, letter, scale in ((10, "", 1.0), (10_000, "", 1.0), (1e6, "k", 1e3)):
        if count < limit:
            return f"{count / scale:.1f}{letter}" if letter or limit == 10 else f"{count:.0f}"
    return f"{count / 1e6:.1f}M"


def format_seconds(seconds: float) -> str:
    """Write how long something takes.

    Examples
    --------
    >>> format_seconds(0.54), format_seconds(42.4), format_seconds(62), format_seconds(7384)
    ('0.5 s', '42 s', '1:02 min', '2:03 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, more = divmod(minutes, 60)
    return f"{hours}:{more:02d} h" if hours else f"{minutes}:{rest:02d} min"
