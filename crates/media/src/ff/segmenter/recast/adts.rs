//! AAC with a header in every packet, as in a transport stream, becomes AAC as MP4 holds it.
//!
//! FFmpeg's own filter does it: the header goes, and what it says of the codec comes as side data of the first packet,
//! where the muxer looks for it.

use super::super::super::Error;
use super::super::super::error::During as _;
use ffmpeg_next::codec::Parameters;
use ffmpeg_next::packet::Mut as _;
use ffmpeg_next::{Packet, Rational, ffi};

/// Whether a packet begins with an ADTS header (ISO/IEC 13818-7, 6.2).
pub(super) fn has_header(packet: &Packet) -> bool {
    packet.data().is_some_and(|bytes| bytes.len() > 2 && bytes[0] == 0xff && bytes[1] & 0xf0 == 0xf0)
}

/// The filter `aac_adtstoasc`.
pub(super) struct Stripper(*mut ffi::AVBSFContext);

impl Stripper {
    #[allow(unsafe_code)]
    pub(super) fn open(parameters: &Parameters, time_base: Rational) -> Result<Stripper, Error> {
        let failed = "open AAC filter of";
        let code = |code: i32| if code < 0 { Err(ffmpeg_next::Error::from(code)) } else { Ok(()) };
        let mut context = std::ptr::null_mut();
        // SAFETY: the name is a C string; `context` is a valid place for the pointer, which is null or that of a context
        // that this value owns from here on and frees when dropped. `par_in` is allocated by `av_bsf_alloc`, and the
        // parameters that are copied into it are alive.
        unsafe {
            let filter = ffi::av_bsf_get_by_name(c"aac_adtstoasc".as_ptr());
            if filter.is_null() {
                return Err(Error::Setting { what: "the linked FFmpeg has no filter aac_adtstoasc".to_owned() });
            }
            code(ffi::av_bsf_alloc(filter, &raw mut context)).during(failed, "the audio track")?;
            let stripper = Stripper(context);
            code(ffi::avcodec_parameters_copy((*context).par_in, parameters.as_ptr()))
                .during(failed, "the audio track")?;
            (*context).time_base_in = time_base.into();
            code(ffi::av_bsf_init(context)).during(failed, "the audio track")?;
            Ok(stripper)
        }
    }

    /// One packet in, one out. Its times stay.
    #[allow(unsafe_code)]
    pub(super) fn strip(&mut self, mut packet: Packet) -> Result<Packet, Error> {
        let code = |code: i32| if code < 0 { Err(ffmpeg_next::Error::from(code)) } else { Ok(()) };
        let mut stripped = Packet::empty();
        // SAFETY: the context is live and initialized, both packets are live; the filter takes the first one's contents
        // and fills the second one.
        unsafe {
            code(ffi::av_bsf_send_packet(self.0, packet.as_mut_ptr()))
                .during("read AAC header of", "the audio track")?;
            code(ffi::av_bsf_receive_packet(self.0, stripped.as_mut_ptr()))
                .during("read AAC header of", "the audio track")?;
        }
        Ok(stripped)
    }
}

impl Drop for Stripper {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: the pointer came from `av_bsf_alloc`, is freed once, and nobody uses it afterwards.
        unsafe { ffi::av_bsf_free(&raw mut self.0) };
    }
}
