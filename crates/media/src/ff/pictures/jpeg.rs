//! A shot as JPEG.

use super::shot::convert;
use super::{Picture, Shot, encoder};
use crate::ff::Error;
use crate::ff::error::During as _;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Dictionary, Packet, Rational, codec, color, frame};

/// Quantisers from good to coarse; 2 is the finest that the encoder is made for.
const QUANTISERS: [i32; 4] = [3, 6, 12, 24];

/// Longest poster. A screen full of text at 1280 by 720 has 300 kB at the finest quantiser.
const BYTES_MAX: usize = 1 << 20;

/// The finest that is short enough; the coarsest of 1280 by 720 pixels is, whatever they show.
pub(super) fn encode(shot: &Shot) -> Result<Picture, Error> {
    let mut frame = frame::Video::new(Pixel::YUVJ420P, shot.width, shot.height);
    frame.set_color_range(color::Range::JPEG);
    let mut frame = convert(&shot.frame(), frame)?;
    frame.set_pts(Some(0));
    let mut bytes = Vec::new();
    for quantiser in QUANTISERS {
        bytes = encode_with(&frame, quantiser)?;
        if bytes.len() <= BYTES_MAX {
            break;
        }
    }
    Ok(Picture { bytes, width: shot.width, height: shot.height })
}

fn encode_with(frame: &frame::Video, quantiser: i32) -> Result<Vec<u8>, Error> {
    let object = "poster";
    let codec = encoder("JPEG", "mjpeg")?;
    let mut video = codec::Context::new_with_codec(codec).encoder().video().during("open encoder of", object)?;
    video.set_width(frame.width());
    video.set_height(frame.height());
    video.set_format(frame.format());
    video.set_color_range(color::Range::JPEG);
    video.set_time_base(Rational(1, 1));
    video.set_flags(codec::Flags::BITEXACT);
    // One quantiser for the whole picture: a single frame has no rate to be controlled.
    video.set_qmin(quantiser);
    video.set_qmax(quantiser);
    let mut encoder = video.open_with(Dictionary::new()).during("open encoder of", object)?;
    encoder.send_frame(frame).during("encode", object)?;
    encoder.send_eof().during("encode", object)?;
    let mut packet = Packet::empty();
    encoder.receive_packet(&mut packet).during("encode", object)?;
    Ok(packet.data().unwrap_or_default().to_vec())
}
