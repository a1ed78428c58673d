"""The driver behind `hapir opt`: xDSL's optimizer driver with hapir registered, for people who write passes."""
