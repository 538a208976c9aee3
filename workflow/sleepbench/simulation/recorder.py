"""The channels of a simulated PSG: what a header says of them, as SC4001E0-PSG.edf has it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Channel:
    """A channel's header fields."""

    label: str
    sampling_frequency: int
    transducer_type: str
    physical_dimension: str
    physical_range: tuple[int, int]
    digital_range: tuple[int, int]
    prefiltering: str


_ELECTRODES = "Ag-AgCl electrodes"
_CASSETTE = "HP:0.5Hz LP:100Hz [enhanced cassette BW]"
_EMG_FILTER = "HP:16Hz Rectification LP:0.7Hz"
_12_BITS = (-2048, 2047)
CHANNELS = (
    Channel("EEG Fpz-Cz", 100, _ELECTRODES, "uV", (-192, 192), _12_BITS, _CASSETTE),
    Channel("EEG Pz-Oz", 100, _ELECTRODES, "uV", (-197, 196), _12_BITS, _CASSETTE),
    Channel("EOG horizontal", 100, _ELECTRODES, "uV", (-1009, 1009), _12_BITS, _CASSETTE),
    Channel("Resp oro-nasal", 1, "Oral-nasal thermistors", "", (-2048, 2047), _12_BITS, "HP:0.03Hz LP:0.9Hz"),
    Channel("EMG submental", 1, _ELECTRODES, "uV", (-5, 5), (-2500, 2500), _EMG_FILTER),
    Channel("Temp rectal", 1, "Rectal thermistor", "DegC", (34, 40), (-2849, 2731), ""),
    Channel("Event marker", 1, "Marker button", "", (-2047, 2048), (-2047, 2048), "Hold during 2 seconds"),
)
