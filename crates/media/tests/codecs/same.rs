//! What must be the same in an encode and in the result that was made of its segments.

use crate::set::{Cut, Set};
use crate::told::{Told, edit};
use domain::segment::Track;
use media::ff::digest::PacketDigest;
use media::files::FileRanges;
use media::folder::{Report, Status};
use media::readback::{self, Readback};
use std::path::Path;

/// Muxes the segments of the `dash` muxer, or our own, and holds the result to the encode: the same packets at the same
/// times, the same frames at the same times.
pub(crate) fn assert_faithful(set: &Set, cut: Cut) -> Report {
    let (report, out) = set.mux(cut);
    assert_complete(set, &report, &out);
    for (track, _) in set.recipe.tracks() {
        let (source, result) = (Told::of(&set.source(), track), Told::of(&out, track));
        let shift = assert_same_packets(&source, &result);
        assert_eq!(shift, 0, "{cut:?} {track}: moved as a whole");
        assert_eq!(assert_same_frames(&source, &result, shift), 0, "{cut:?} {track}: presents more than the encode");
        assert_length(&report, &source, source.first().max(0), &out);
    }
    report
}

/// The `hls` muxer moves both tracks behind 0 together, to the millisecond, and says nothing of priming, so that what a
/// decoder needs to start is heard. So the result is the encode, moved as a whole, with at most a packet of sound in front.
pub(crate) fn assert_faithful_but_moved(set: &Set) -> Report {
    let (report, out) = set.mux(Cut::Hls);
    assert_complete(set, &report, &out);
    let mut moves_s = Vec::new();
    for (track, _) in set.recipe.tracks() {
        let (source, result) = (Told::of(&set.source(), track), Told::of(&out, track));
        let shift = assert_same_packets(&source, &result);
        let more = assert_same_frames(&source, &result, shift);
        assert!(
            more == 0 || more == 1 && track == Track::Audio,
            "{track}: presents {more} frames more than the encode"
        );
        assert_length(&report, &source, source.first(), &out);
        moves_s.push(shift as f64 / f64::from(source.timescale));
    }
    let apart_s = moves_s.iter().fold(0.0_f64, |most, each| most.max((each - moves_s[0]).abs()));
    assert!(apart_s < 0.001_1, "picture and sound were moved against each other: {moves_s:?}");
    report
}

/// Holds the result to the segments themselves, one behind the other: FFmpeg's muxers put the first frame of a segment to
/// the end of the segment before where they do not know how long that one lasts, and what a segment says stands.
pub(crate) fn assert_faithful_to_segments(set: &Set, cut: Cut) {
    let (report, out) = set.mux(cut);
    assert_complete(set, &report, &out);
    for (track, _) in set.recipe.tracks() {
        let (mut segments, result) = (Told::of(&set.concat(cut, track), track), Told::of(&out, track));
        // FFmpeg 5.1 presents the priming of fragments, which lies before 0.
        segments.frames.retain(|frame| frame.pts >= 0);
        let shift = assert_same_packets(&segments, &result);
        assert_eq!(assert_same_frames(&segments, &result, shift), 0, "{cut:?} {track}");
        assert_length(&report, &result, result.first().max(0), &out);
    }
}

/// There is a result, nothing is missing in it, and it says of itself what is true.
pub(crate) fn assert_complete(set: &Set, report: &Report, out: &Path) {
    assert_eq!((report.status, &report.error), (Status::Complete, &None), "{report:?}");
    assert!(report.gaps.is_empty() && report.repairs.is_empty(), "{report:?}");
    let found = read_back(out);
    assert!(found.facts.faststart);
    assert_eq!(report.tracks.len(), set.recipe.tracks().count());
    for ((track, lane), told) in set.recipe.tracks().zip(&report.tracks) {
        assert_eq!((told.kind, told.codec.as_str()), (track, lane.codec));
        lane.assert_facts(found.codec(track).unwrap());
    }
}

pub(crate) fn read_back(out: &Path) -> Readback {
    crate::set::block_on(async {
        let ranges = FileRanges::open(out).await.unwrap();
        readback::read(&ranges, ranges.size_bytes()).await.unwrap()
    })
}

/// Every packet of the encode, once and in order, all moved by the same time: that is given, in units of the track.
pub(crate) fn assert_same_packets(source: &Told, result: &Told) -> i64 {
    let track = source.track;
    assert_eq!(source.timescale, result.timescale, "{track}");
    assert_eq!(source.packets.len(), result.packets.len(), "{track}");
    let shift = result.packets[0].dts - source.packets[0].dts;
    let last = source.packets.len() - 1;
    for (n, (source, result)) in source.packets.iter().zip(&result.packets).enumerate() {
        // FFmpeg's reader shortens the last one of a track that begins late, and makes it up from fragments;
        // `assert_length` sees how long it is. Of priming in fragments it says nothing.
        let unknown = n == last || source.duration == 0;
        let lasts = |packet: &PacketDigest| if unknown { 0 } else { packet.duration };
        let facts = |packet: &PacketDigest, shift| {
            (packet.sha256, packet.key, packet.pts + shift, packet.dts + shift, lasts(packet))
        };
        assert_eq!(facts(source, shift), facts(result, 0), "{track} packet {n}");
    }
    shift
}

/// The frames of the result end with those of the encode. Gives how many more there are in front; the first frame of
/// the encode may be the end of one of them, where a decoder was told to skip its beginning.
pub(crate) fn assert_same_frames(source: &Told, result: &Told, shift: i64) -> usize {
    let track = source.track;
    let behind = source.frames.iter().rev().zip(result.frames.iter().rev());
    let same = behind.take_while(|(a, b)| a.hash == b.hash && a.pts + shift == b.pts).count();
    let whole = source.frames.len();
    if same == whole {
        return result.frames.len() - same;
    }
    let (a, b) = (&source.frames[whole - same - 1], result.frames.iter().rev().nth(same));
    let cut = same + 1 == whole && shift > 0 && b.is_some_and(|b| b.pts < a.pts + shift);
    assert!(cut, "{track}: of {whole} frames the last {same} are the same; before them {a:?} moved by {shift}, {b:?}");
    result.frames.len() - same
}

/// The track lasts as long as the packets of the encode from unit `from` on, to the sample, by its edit list and by the
/// report.
fn assert_length(report: &Report, told: &Told, from: i64, out: &Path) {
    let track = told.track;
    let length_s = (told.end() - from) as f64 / f64::from(told.timescale);
    let (edit, scale) = edit(out, track);
    let edit_s = edit as f64 / f64::from(scale);
    // Rounded up to a whole unit of the movie's timescale.
    let sample_s = 1.0 / f64::from(told.timescale) + 1.0 / f64::from(scale);
    assert!((edit_s - length_s).abs() <= sample_s, "{track}: presented for {edit_s} s instead of {length_s} s");
    let reported = report.tracks.iter().find(|found| found.kind == track).unwrap();
    assert!((reported.duration_ms as f64 - length_s * 1000.0).abs() <= 1.0, "{track}: {reported:?}, {length_s} s");
}
