//! The format as a whole: what is written is read, what is damaged is dropped.

mod ack;
mod batch;
mod golden;
mod malformed;
mod mutation;
mod numbers;
mod options;
mod round_trip;
mod samples;
