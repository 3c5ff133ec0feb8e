//! Key frames of an input, one at a time, wherever they lie.

use super::shot::Turn;
use crate::ff::Error;
use crate::ff::error::During as _;
use crate::ff::input::Input;
use ffmpeg_next::codec::packet::side_data;
use ffmpeg_next::codec::{self, decoder};
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{frame, media};

/// The picture of an input and its decoder.
pub(super) struct Lens {
    input: Input,
    stream: usize,
    decoder: decoder::Opened,
    turn: Turn,
    /// Where the packet lay that was read last: two moments may have one key frame.
    position: Option<isize>,
}

impl Lens {
    pub(super) fn open(mut input: Input) -> Result<Lens, Error> {
        let none = || Error::NoStream { object: input.name.clone() };
        let stream = input.best(media::Type::Video).ok_or_else(none)?;
        let operation = "open decoder of";
        let mut decoder =
            codec::Context::from_parameters(stream.parameters()).during(operation, &input.name)?.decoder();
        decoder.set_packet_time_base(stream.time_base());
        let id = decoder.id();
        let decoder = decoder.open_as(id).during(operation, &input.name)?;
        let matrix = stream.side_data().find(|found| found.kind() == side_data::Type::DisplayMatrix);
        let turn = matrix.map(|matrix| Turn::read(matrix.data())).unwrap_or_default();
        let stream = stream.index();
        input.read_only(stream);
        Ok(Lens { input, stream, decoder, turn, position: None })
    }

    /// How frames are to be turned to be seen as they are meant.
    pub(super) fn turn(&self) -> Turn {
        self.turn
    }

    /// The key frame at or before a moment in microseconds; `None` when it was the last one taken, or is damaged.
    pub(super) fn take(&mut self, at_us: i64) -> Result<Option<frame::Video>, Error> {
        self.input.seek(at_us)?;
        let packet = loop {
            match self.input.read()? {
                None => return Ok(None),
                Some(packet) if packet.stream() == self.stream => break packet,
                Some(_) => {}
            }
        };
        if self.position.replace(packet.position()) == Some(packet.position()) {
            return Ok(None);
        }
        let decoded = self.decode(&packet);
        self.decoder.flush();
        decoded
    }

    fn decode(&mut self, packet: &ffmpeg_next::Packet) -> Result<Option<frame::Video>, Error> {
        let name = &self.input.name;
        self.decoder.send_packet(packet).during("decode key frame of", name)?;
        self.decoder.send_eof().during("decode key frame of", name)?;
        let mut frame = frame::Video::empty();
        match self.decoder.receive_frame(&mut frame) {
            Ok(()) if packet.is_corrupt() || frame.is_corrupt() || frame.has_decode_errors() => Ok(None),
            Ok(()) => Ok(Some(frame)),
            Err(ffmpeg_next::Error::Other { errno: EAGAIN } | ffmpeg_next::Error::Eof) => Ok(None),
            Err(error) => Err(error).during("decode key frame of", name),
        }
    }
}
