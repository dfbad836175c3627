//! Names of metrics and attributes, meters, trace propagation.
