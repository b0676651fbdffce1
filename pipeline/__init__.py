"""The domain of Spotrender, as the data flows through it; it knows neither Ray nor boto3."""

__version__ = "0.1.0"
