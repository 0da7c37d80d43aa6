"""Describes its input by a type of its own."""

from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType
from inference_schema.schema_decorators import input_schema


class Celsius(AbstractParameterType):
    """Degrees, given as `21C`."""

    def __init__(self):
        """Take floats as they are."""
        super().__init__(21.0)

    def deserialize_input(self, input_data):
        """Take the unit off."""
        return float(input_data.removesuffix("C"))

    def input_to_swagger(self):
        """Describe a string."""
        return {"type": "string", "format": "celsius", "example": "21C"}

    def supported_versions(self):
        """Fit every document."""
        return ["2.0", "3.0", "3.1"]


def init():
    """Nothing to load."""


@input_schema("degrees", Celsius())
def run(degrees):
    """Return the number."""
    return degrees
