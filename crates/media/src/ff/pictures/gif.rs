//! Shots as an animated GIF.

use super::palette::{Palette, TRANSPARENT};
use super::{Picture, Shot, encoder};
use crate::ff::Error;
use crate::ff::error::During as _;
use crate::ff::sink::Sink;
use ffmpeg_next::codec::Parameters;
use ffmpeg_next::format::{self, Pixel, context::StreamIo};
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{Codec, Dictionary, Packet, Rational, codec, frame};

/// Units a second of a GIF's times.
const TIMESCALE: i32 = 100;

/// How long a round takes, in those units: six seconds, divided by its frames …
const ROUND: i64 = 600;

/// … but each is shown no shorter and no longer than this: below, nobody sees what it shows; above, it stands still.
const SHOWN: (i64, i64) = (20, 60);

const OBJECT: &str = "animated preview";

/// All shots, which have one size, again and again.
pub(super) fn encode(shots: &[Shot]) -> Result<Picture, Error> {
    let first = shots.first().ok_or_else(|| Error::NoStream { object: OBJECT.to_owned() })?;
    let (width, height) = (first.width, first.height);
    let palette = Palette::of(shots);
    let shown = (ROUND / shots.len().max(1) as i64).clamp(SHOWN.0, SHOWN.1);
    let time_base = Rational(1, TIMESCALE);

    let mut video =
        codec::Context::new_with_codec(encoder("GIF", "gif")?).encoder().video().during("open encoder of", OBJECT)?;
    video.set_width(width);
    video.set_height(height);
    video.set_format(Pixel::PAL8);
    video.set_time_base(time_base);
    video.set_flags(codec::Flags::BITEXACT);
    let mut encoder = video.open_with(Dictionary::new()).during("open encoder of", OBJECT)?;

    let sink = Sink::default();
    let io = StreamIo::from_write(sink.clone()).during("open muxer of", OBJECT)?;
    let mut output = format::output_to_stream(io, None, Some("gif")).during("open muxer of", OBJECT)?;
    let mut stream = output.add_stream(None::<Codec>).during("add stream to", OBJECT)?;
    stream.set_parameters(Parameters::from(&encoder));
    stream.set_time_base(time_base);
    let mut options = Dictionary::new();
    options.set("loop", "0");
    options.set("final_delay", &shown.to_string());
    output.write_header_with(options).during("start muxer of", OBJECT)?;

    for n in 0..=shots.len() {
        match shots.get(n) {
            Some(shot) => {
                let mut frame = paint(shot, &palette, width, height);
                frame.set_pts(Some(n as i64 * shown));
                encoder.send_frame(&frame).during("encode", OBJECT)?;
            }
            None => encoder.send_eof().during("encode", OBJECT)?,
        }
        loop {
            let mut packet = Packet::empty();
            match encoder.receive_packet(&mut packet) {
                Ok(()) => {
                    packet.set_stream(0);
                    packet.set_duration(shown);
                    packet.write(&mut output).during("mux", OBJECT)?;
                }
                Err(ffmpeg_next::Error::Other { errno: EAGAIN } | ffmpeg_next::Error::Eof) => break,
                Err(error) => return Err(error).during("encode", OBJECT),
            }
        }
    }
    output.write_trailer().during("finish", OBJECT)?;
    drop(output);
    Ok(Picture { bytes: sink.take(), width, height })
}

/// A shot in the colours of the palette. One of another size, where a recording changed it midway, stands in a corner.
fn paint(shot: &Shot, palette: &Palette, width: u32, height: u32) -> frame::Video {
    let mut frame = frame::Video::new(Pixel::PAL8, width, height);
    let stride = frame.stride(0);
    let pixels = frame.data_mut(0);
    pixels.fill(if (shot.width, shot.height) == (width, height) { 0 } else { TRANSPARENT });
    let (across, down) = (shot.width.min(width) as usize, shot.height.min(height) as usize);
    let rows = shot.rgb.chunks_exact(shot.width as usize * 3).take(down);
    for (line, row) in pixels.chunks_mut(stride).zip(rows) {
        for (pixel, rgb) in line.iter_mut().zip(row.chunks_exact(3).take(across)) {
            *pixel = palette.index_of(rgb);
        }
    }
    set_palette(&mut frame, &palette.table());
    frame
}

#[allow(unsafe_code)]
fn set_palette(frame: &mut frame::Video, table: &[u32; 256]) {
    // SAFETY: `frame` was allocated as PAL8 by the caller and is borrowed alone; the second plane of such a frame is its
    // palette, 256 words of 32 bits (AVPALETTE_SIZE), which av_frame_get_buffer allocates and aligns. The safe API has no
    // way to it, because it has no rows.
    unsafe {
        let plane = (*frame.as_mut_ptr()).data[1].cast::<u32>();
        if !plane.is_null() {
            std::ptr::copy_nonoverlapping(table.as_ptr(), plane, table.len());
        }
    }
}
