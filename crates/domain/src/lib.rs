//! What is true of a recording: pure, no IO, no async, no clock.
