"""Follow a growing log through every way of rotating it."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import BinaryIO, Literal

from rxalerts.alert import Alert
from rxalerts.errors import MissingPackageError, OptionError
from rxalerts.flow.source import Emitter, Source
from rxalerts.flow.watermark import Watermark
from rxalerts.sources._tail_files import (
    HEAD,
    Place,
    Rotated,
    begins,
    find,
    index_of,
    is_same,
    moved,
    place_in,
    rotated_files,
)
from rxalerts.sources._tail_position import Position, locked_state
from rxalerts.sources._tail_wakers import Waker, has_inotify, waker
from rxalerts.wire import Decoder, OnBad, Rejected
from rxalerts.wire.rejects import Rejects

log = logging.getLogger("rxalerts")

_CHUNK = 1 << 16

# The file is on a server that has forgotten it, or is not there at the moment.
_STALE = (errno.ESTALE, errno.EIO, errno.ENODEV, errno.ENOTCONN)


class _Run:
    """What one run of the source works with."""

    def __init__(self, emitter: Emitter[Alert], rejects: Rejects, waker: Waker) -> None:
        self.emitter = emitter
        self.rejects = rejects
        self.first = True
        self.waited = False
        self.refused = False
        self._waker = waker
        self._decoder: Decoder | None = None

    def decoder(self) -> Decoder:
        """Return what decodes the next file, beginning with what the last one's end left of a split line."""
        decoder = Decoder()
        if self._decoder is not None:
            decoder.go_on(self._decoder)
        self._decoder = decoder
        return decoder

    @property
    def stopped(self) -> bool:
        return self.emitter.stopped.is_set()

    def wait(self) -> None:
        self._waker(self.emitter.stopped)


class TailSource(Source[Alert]):
    """See `tail`."""

    live = True

    def __init__(
        self,
        path: str,
        *,
        state: str | None,
        start: Literal["beginning", "end"],
        olddir: str | None,
        poll: float,
        inotify: bool,
        ack: Literal["accepted", "delivered"],
        on_bad: OnBad,
        name: str,
    ) -> None:
        super().__init__(name)
        self.files = (path,)
        self._path = path
        self._state = state
        self._start = start
        self._olddir = olddir
        self._poll = poll
        self._inotify = inotify
        self._ack = ack
        self._on_bad: OnBad = on_bad
        self._position: Position | None = None

    def watermark(self) -> Watermark | None:
        if self._state is None:
            return None
        self._position = Position(self._state, until_delivered=self._ack == "delivered")
        return self._position.mark

    def produce(self, emitter: Emitter[Alert]) -> None:
        emitter.meanwhile = self._checkpoint
        with (
            locked_state(self._state, emitter.stopped),
            Rejects(self._on_bad, self._path) as rejects,
            waker(self._path, self._poll, self._inotify) as wait,
        ):
            with closing(self._alerts(_Run(emitter, rejects, wait))) as lists:
                for alerts in lists:
                    # Wholly, when it is stopped as well: the place is that of the last one.
                    self._stats.read += emitter.emit_batch(alerts, taken=True)
                    if emitter.stopped.is_set():
                        break
                    self._checkpoint()
        self.finished()

    # -- reading --------------------------------------------------------------------------------------------

    def _alerts(self, run: _Run) -> Generator[list[Alert]]:
        """Yield everything: what was missed while we were away, then file after file as they grow."""
        place = self._position.load() if self._position is not None else None
        file = self._open(run)
        while file is not None:
            with file:
                offset = 0
                if place is not None:
                    offset = yield from self._catch_up(place, file, run)
                elif run.first and self._start == "end" and not run.waited:
                    offset = os.fstat(file.fileno()).st_size
                if run.first and place is None and self._position is not None:
                    self._position.begin(place_in(file, offset))
                run.first = False
                place = yield from self._follow(file, offset, run)
                following = self._open(run)
                if following is not None and place is None:
                    yield from self._between(file, following, run)
            file = following

    def _open(self, run: _Run) -> BinaryIO | None:
        """Open the file at the path, waiting until there is one; None when the source was stopped."""
        while not run.stopped:
            try:
                file = open(self._path, "rb")
                run.refused = False
                return file
            except FileNotFoundError:
                run.waited = True
            except OSError as error:
                # A new file may get its owner and mode a moment after its name, a file server may come back.
                if run.first or isinstance(error, IsADirectoryError):
                    raise
                if not run.refused:
                    log.error("%s: cannot be opened: %s; trying again", self._path, error.strerror)
                run.refused = True
            run.wait()
        return None

    def _catch_up(self, place: Place, file: BinaryIO, run: _Run) -> Generator[list[Alert], None, int]:
        """Read what was written to rotated files since `place`; return where to go on in the current one."""
        status = os.fstat(file.fileno())
        if (status.st_ino, status.st_dev) == (place.inode, place.device) and is_same(file, place):
            return place.offset
        with rotated_files(self._path, self._olddir) as files:
            files = files[: index_of(files, status)]
            number = find(files, place)
            if number is not None:
                yield from self._read_rotated(files[number:], place.offset, run)
            elif place.head_size and is_same(file, place):
                # Copied back, or moved to another file system: another inode with the same content.
                return place.offset
            else:
                log.error(
                    "%s: the file of the saved position is gone: alerts at its end may be missing; going on with "
                    "what was written later",
                    self._path,
                )
                yield from self._read_rotated(_newer(files, place.mtime), 0, run)
        return 0

    def _between(self, old: BinaryIO, new: BinaryIO, run: _Run) -> Iterator[list[Alert]]:
        """Read the files that were made after `old` and rotated away before `new`."""
        ours = os.fstat(old.fileno())
        with rotated_files(self._path, self._olddir) as files:
            files = files[: index_of(files, os.fstat(new.fileno()))]
            index = index_of(files, ours)
            # If ours was deleted or packed meanwhile: what came after it is newer.
            missed = files[index + 1 :] if index is not None else _newer(files, ours.st_mtime_ns)
            yield from self._read_rotated(missed, 0, run)

    def _read_rotated(self, files: list[Rotated], offset: int, run: _Run) -> Iterator[list[Alert]]:
        """Read rotated files to their ends, oldest first, the first one from `offset`."""
        for file in files:
            log.info("%s: reading %s, which was rotated meanwhile", self._path, file.name)
            # No place in a packed file: its bytes lie elsewhere than in the file that it was.
            base = None if file.packed else place_in(file.raw, 0)
            decoder = run.decoder()
            try:
                for chunk in file.chunks(offset):
                    yield from self._pieces(decoder, decoder.feed(chunk), base, offset, run)
                    if run.stopped:
                        return
            except (OSError, EOFError, MissingPackageError) as error:
                log.error("%s: %s cannot be read to its end: %s", self._path, file.name, error)
            yield from self._pieces(decoder, decoder.close(final=False), base, offset, run)
            offset = 0

    def _follow(self, file: BinaryIO, offset: int, run: _Run) -> Generator[list[Alert], None, Place | None]:
        """Read one file as it grows, until its writer has gone on to another one.

        Returns where to go on in it when it can no longer be read through `file`.
        """
        decoder, start, position = run.decoder(), offset, offset
        base = place_in(file, 0)
        last_look = False
        while not run.stopped:
            try:
                if not is_same(file, moved(base, position)):
                    # Truncated (copytruncate): what we had not read is in a copy that was made before.
                    yield from self._pieces(decoder, decoder.close(final=False), base, start, run)
                    yield from self._cut_off(moved(base, position), run)
                    decoder, start, position = run.decoder(), 0, 0
                    base = place_in(file, 0)
                truncated = False
                while not run.stopped and (chunk := os.pread(file.fileno(), _CHUNK, position)):
                    grown = place_in(file, 0)
                    # Looked at after reading: what was read is of the same content as what came before it.
                    truncated = not is_same(file, moved(base, position)) or (not position and not begins(chunk, grown))
                    if truncated:
                        break
                    position += len(chunk)
                    if base.head_size < HEAD:
                        base = grown
                    yield from self._pieces(decoder, decoder.feed(chunk), base, start, run)
            except OSError as error:
                if error.errno not in _STALE:
                    raise
                log.error("%s: %s; opening it again", self._path, error.strerror)
                return moved(base, decoder.reached + start)
            if truncated:
                continue
            if last_look:
                yield from self._pieces(decoder, decoder.close(final=False), base, start, run)
                return None
            self._checkpoint()
            # Seen before the last look at what was written here, so that nothing falls in between.
            last_look = self._is_left(file)
            if not last_look:
                run.wait()
        return None

    def _is_left(self, file: BinaryIO) -> bool:
        """Tell whether the writer has gone on: something was written to a file that has taken the path.

        An empty new file is not enough: logrotate's `create` makes it before the writer is told to reopen.
        """
        try:
            now = os.stat(self._path)
        except OSError:
            return False
        ours = os.fstat(file.fileno())
        if os.path.samestat(now, ours):
            return False
        if now.st_size:
            return True
        with rotated_files(self._path, self._olddir) as files:
            index = index_of(files, ours)
            return bool(files[index + 1 :] if index is not None else _newer(files, ours.st_mtime_ns))

    def _cut_off(self, place: Place, run: _Run) -> Iterator[list[Alert]]:
        """Read what a truncation cut off from the copy that was made before it, and from later copies."""
        with rotated_files(self._path, self._olddir) as files:
            number = find(files, place)
            if number is not None:
                yield from self._read_rotated(files[number:], place.offset, run)

    def _pieces(
        self, decoder: Decoder, pieces: list[Alert | Rejected], base: Place | None, start: int, run: _Run
    ) -> Iterator[list[Alert]]:
        """Yield the alerts in short lists, noting for each which place is reached when it is finished."""
        alerts: list[Alert] = []
        reached = 0
        limit = LIST if run.emitter.takes_lists else 1
        for piece, end in zip(pieces, decoder.ends, strict=True):
            if len(alerts) == limit or (alerts and isinstance(piece, Rejected)):
                yield self._noted(alerts, base, start + reached, run)
                alerts = []
            if isinstance(piece, Rejected):
                self._reject(piece, run)
            else:
                alerts.append(piece)
                reached = end
        if alerts:
            yield self._noted(alerts, base, start + reached, run)

    def _noted(self, alerts: list[Alert], base: Place | None, reached: int, run: _Run) -> list[Alert]:
        if self._position is not None and base is not None:
            self._position.note(run.emitter.seq + len(alerts), moved(base, reached))
        return alerts

    def _reject(self, piece: Rejected, run: _Run) -> None:
        stats = self._stats
        stats.rejected += 1
        if len(stats.first_rejects) < _FIRST:
            stats.first_rejects.append(str(piece))
        run.rejects.add(piece)

    def _checkpoint(self) -> None:
        if self._position is not None:
            self._position.checkpoint()

    def finished(self) -> None:
        """Save the place up to which every sink is done."""
        if self._position is not None:
            self._position.save()


def _newer(files: list[Rotated], moment: int) -> list[Rotated]:
    return [file for file in files if file.status.st_mtime_ns > moment]


# So many rejected pieces are kept to be shown.
_FIRST = 5

# So many alerts go through the pipeline together: with a position, some of them may come again together.
LIST = 50


def tail(
    path: str | os.PathLike[str],
    *,
    state: str | os.PathLike[str] | None = None,
    start: Literal["beginning", "end"] = "beginning",
    olddir: str | os.PathLike[str] | None = None,
    poll: float = 0.2,
    inotify: bool | None = None,
    ack: Literal["accepted", "delivered"] = "delivered",
    on_bad: OnBad = "report",
    name: str = "tail",
) -> TailSource:
    """Follow a log file as it grows, through rename, copytruncate, deletion and rotations between two looks.

    Rotated files are found by logrotate's and the container runtimes' names, and may be packed with gzip, bzip2, xz
    or zstd.

    Arguments:
        path: the file; it may not be there yet.
        state: where to save the position (inode, offset and a fingerprint of the file's beginning), so that a
            restart goes on where every sink was done, in rotated and gzipped files too.
        start: where to begin in a file that is there already, when no position was saved.
        olddir: the folder that rotated files are moved to, as in logrotate's configuration; else they are looked for
            beside the file, and beside what it is a link to.
        poll: seconds between two looks; with inotify, the longest time between two.
        inotify: be told by the kernel (needs the extra `inotify`); None: if it is installed.
        ack: what "done" means for the position: `delivered` by every sink, or `accepted`: on disk in every
            durable mailbox.
        on_bad: what to do with pieces that are no alert, see `rxalerts.read`.

    Delivery: with `state`, at least once; nothing is skipped as long as a rotated file is kept until it is read.
    Raises OptionError for a poll of 0 or less, MissingPackageError when inotify was asked for and is not there.

    >>> tail("/var/log/falco/events.txt", state="/var/lib/rxalerts/events.state").name
    'tail'
    """
    if poll <= 0:
        raise OptionError("poll", f"must be more than 0 seconds, got {poll}")
    if start not in ("beginning", "end"):
        raise OptionError("start", f"must be beginning or end, got {start!r}")
    if ack not in ("accepted", "delivered"):
        raise OptionError("ack", f"must be accepted or delivered, got {ack!r}")
    return TailSource(
        os.fspath(path),
        state=None if state is None else os.fspath(state),
        start=start,
        olddir=None if olddir is None else os.fspath(olddir),
        poll=poll,
        inotify=has_inotify() if inotify is None else inotify,
        ack=ack,
        on_bad=on_bad,
        name=name,
    )
