"""Reads the channels: Falco's six sections, ``rxalerts.channels`` and ``rxalerts.outputs``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rxalerts.config import schema
from rxalerts.config.channel import MISSING, ChannelConfig, check_options, read_format
from rxalerts.config.nodes import ListNode, MapNode, Node, kind_of
from rxalerts.config.problems import Place, Problems, did_you_mean
from rxalerts.config.registry import OptionInfo, options_of, sink_classes
from rxalerts.config.section import Section
from rxalerts.config.steps import STEPS, build_steps
from rxalerts.errors import ConfigError, OptionError
from rxalerts.flow.sink import Sink


@dataclass(slots=True)
class ChannelReader:
    """Reads all channels of one configuration.

    ``defaults`` are what every sink gets for an option of that name, unless its own section says otherwise.
    """

    root: MapNode
    file: str
    defaults: Mapping[str, Any]
    problems: Problems
    found: list[ChannelConfig] = field(default_factory=list[ChannelConfig])

    def read(self, own: Section) -> list[ChannelConfig]:
        """Return the enabled channels in Falco's order, then the further outputs in theirs."""
        extras = Section.of(own.node, "channels", self.problems, f"{schema.OWN}.channels")
        for channel in schema.CHANNELS:
            self._read_falco(channel, extras)
        for key, entry in extras.node.entries.items():
            if key not in schema.CHANNELS:
                hint = did_you_mean(key, schema.CHANNELS)
                other = (
                    f"; a further channel goes into {schema.OWN}.outputs" if key in sink_classes() else hint
                )
                self.problems.error(
                    entry.key_place, f"{extras.path_of(key)} is none of Falco's channels{other}"
                )
        self._read_outputs(own.get("outputs"))
        return self.found

    # -- Falco's six ----------------------------------------------------------------------------------------

    def _read_falco(self, channel: str, extras: Section) -> None:
        sections = {name: Section.of(self.root, name, self.problems) for name in schema.sections_of(channel)}
        more = Section.of(extras.node, channel, self.problems, extras.path_of(channel))
        enabled = self._is_enabled(channel, sections)
        sink = sink_classes().get(channel)
        if sink is None:
            if enabled:
                switch = schema.SWITCHES[channel][0]
                self.problems.error(
                    sections[switch.partition(".")[0]].place_of(schema.ENABLED),
                    f"there is no {channel} channel in this version of rxalerts: set {switch} to false",
                )
            return
        values, places = self._options(sink, more, sections if enabled else {})
        self._check_keys(sink, sections, more)
        if not enabled:
            if more.node.entries:
                switches = schema.SWITCHES[channel]
                off = " and ".join(switches) + (" are not both true" if len(switches) > 1 else " is not true")
                self.problems.warn(more.node.place, f"{more.path} has no effect: {off}")
            return
        place = sections[schema.section_of(channel)].node.place
        self._require(sink, values, place, lambda item: self._missing_in_falcos_words(channel, item))
        self._add(channel, sink, values, self._steps(more, places), places, place)

    def _is_enabled(self, channel: str, sections: Mapping[str, Section]) -> bool:
        states: dict[str, bool] = {}
        for switch in schema.SWITCHES[channel]:
            section, _, key = switch.partition(".")
            states[switch] = sections[section].read(key, bool, False)
        if any(states.values()) and not all(states.values()):
            off = next(switch for switch, state in states.items() if not state)
            on = next(switch for switch, state in states.items() if state)
            self.problems.warn(
                sections[on.partition(".")[0]].place_of(schema.ENABLED),
                f"{on} has no effect without {off}: set both to true",
            )
        return all(states.values())

    def _missing_in_falcos_words(self, channel: str, item: OptionInfo) -> str:
        key = item.falco.rpartition(".")[2]
        return (
            f"Error reading config file ({self.file}): {channel} output enabled but no {key} in configuration"
            f" block; set {item.falco}: {item.help}"
        )

    def _check_keys(self, sink: type[Sink[Any]], sections: Mapping[str, Section], more: Section) -> None:
        options = options_of(sink)
        names = {item.name for item in options} | STEPS.keys()
        for name, section in sections.items():
            falco = {item.falco.partition(".")[2] for item in options if item.falco.startswith(f"{name}.")}
            known = falco | {schema.ENABLED} | schema.UNUSED.get(name, frozenset())
            for key in section.node.entries.keys() - known:
                if key in names:
                    known.add(key)
                    self.problems.warn(
                        section.node.place_of(key),
                        f"{section.path_of(key)} is no key of Falco's and is ignored: move it to {more.path}",
                    )
            section.warn_unknown(known)
        more.warn_unknown(names)

    # -- further outputs ------------------------------------------------------------------------------------

    def _read_outputs(self, node: Node | None) -> None:
        path = f"{schema.OWN}.outputs"
        if node is None:
            return
        if not isinstance(node, ListNode):
            self.problems.error(
                node.place, f"{path} is {kind_of(node)}: write a list of maps with channel and name"
            )
            return
        for number, item in enumerate(node.items):
            if isinstance(item, MapNode):
                self._read_output(Section(item, f"{path}[{number}]", self.problems))
            else:
                self.problems.error(
                    item.place, f"{path}[{number}] is {kind_of(item)}: write a map with channel and name"
                )

    def _read_output(self, section: Section) -> None:
        channel: str = section.read("channel", str, "")
        enabled: bool = section.read(schema.ENABLED, bool, True)
        classes = sink_classes()
        if channel not in classes:
            names = ", ".join(classes)
            wrong = f"is {channel!r}{did_you_mean(channel, classes)}" if channel else "is missing"
            self.problems.error(
                section.place_of("channel"), f"{section.path_of('channel')} {wrong}: write one of {names}"
            )
            return
        sink = classes[channel]
        values, places = self._options(sink, section, {})
        if not values.get("name"):
            self.problems.error(section.node.place, f"{section.path_of('name')} is missing: reports need it")
            values["name"] = section.path
        self._require(
            sink,
            values,
            section.node.place,
            lambda item: f"{section.path_of(item.name)} is missing: {item.help}",
        )
        steps = self._steps(section, places)
        section.warn_unknown(item.name for item in options_of(sink))
        if enabled:
            self._add(channel, sink, values, steps, places, section.node.place)

    # -- both -----------------------------------------------------------------------------------------------

    def _options(
        self, sink: type[Sink[Any]], more: Section, sections: Mapping[str, Section]
    ) -> tuple[dict[str, Any], dict[str, Place]]:
        """Read the options that are given, from Falco's sections and from our own one."""
        values: dict[str, Any] = {}
        places: dict[str, Place] = {}
        for item in options_of(sink):
            section, _, key = item.falco.partition(".")
            if section in sections:
                value = sections[section].read(key, item.kind, MISSING, item.secret)
                if value is not MISSING:
                    values[item.name] = _unquoted(value) if item.falco in schema.QUOTED else value
                    places[item.name] = sections[section].place_of(key)
            value = self._read_option(item, more)
            if value is MISSING:
                continue
            if item.name in values and values[item.name] != value:
                self.problems.error(
                    more.place_of(item.name),
                    f"{more.path_of(item.name)} contradicts {item.falco} at {places[item.name]}: "
                    "write it once",
                )
            values[item.name] = value
            places[item.name] = more.place_of(item.name)
        return values, places

    def _read_option(self, item: OptionInfo, section: Section) -> Any:
        if item.name != "format":
            return section.read(item.name, item.kind, MISSING, item.secret)
        return read_format(section, self.defaults["format"])

    def _steps(self, section: Section, places: dict[str, Place]) -> dict[str, Any]:
        values = {key: section.read(key, step.kind, MISSING) for key, step in STEPS.items()}
        given = {key: value for key, value in values.items() if value is not MISSING}
        places.update((key, section.place_of(key)) for key in given)
        return given

    def _require(
        self,
        sink: type[Sink[Any]],
        values: Mapping[str, Any],
        place: Place,
        words: Callable[[OptionInfo], str],
    ) -> None:
        for item in options_of(sink):
            if item.required and values.get(item.name, "") == "":
                self.problems.error(place, words(item))

    def _add(
        self,
        channel: str,
        sink: type[Sink[Any]],
        values: dict[str, Any],
        steps: dict[str, Any],
        places: Mapping[str, Place],
        place: Place,
    ) -> None:
        names = {item.name for item in options_of(sink)}
        options = {key: value for key, value in self.defaults.items() if key in names} | values
        options["name"] = options.get("name") or channel
        taken = next((other for other in self.found if other.name == options["name"]), None)
        if taken is not None:
            self.problems.error(
                places.get("name", place),
                f"the name {options['name']!r} is taken by the {taken.channel} channel at {taken.place}: "
                "choose another",
            )
        config = ChannelConfig(options["name"], channel, options, steps, place)
        if all(values.get(item.name, "") != "" for item in options_of(sink) if item.required):
            self._try(config, sink, places)
        self.found.append(config)

    def _try(self, config: ChannelConfig, sink: type[Sink[Any]], places: Mapping[str, Place]) -> None:
        """Let the sink and the operators check their values, again without the wrong one after each error."""
        secret = {item.name: item.help for item in options_of(sink) if item.secret}
        needed = {item.name for item in options_of(sink) if item.required}
        options, steps = dict(config.options), dict(config.steps)
        while True:
            try:
                check_options(sink, options)
                build_steps(steps)
            except OptionError as error:
                hidden = f"has a wrong value, which is not shown here; it is {secret.get(error.key)}"
                reason = hidden if error.key in secret else error.reason
                self.problems.error(places.get(error.key, config.place), f"{config.name}: {error.key}: {reason}")
                given = steps if error.key in steps else options
                if error.key not in needed and given.pop(error.key, None) is not None:
                    continue
            except (ConfigError, ValueError, TypeError, ImportError, OSError) as error:
                self.problems.error(config.place, f"{config.name}: {error}")
            return


def _unquoted(value: Any) -> Any:
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value
