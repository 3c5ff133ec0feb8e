use super::*;
use std::io::Cursor;

/// An element: identifier, length in the fewest bytes, contents.
fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    let length = if body.len() < 127 {
        vec![0x80 | body.len() as u8]
    } else {
        ((body.len() as u64) | 1 << 56).to_be_bytes().to_vec()
    };
    [id, &length, body].concat()
}

const CLUSTER: &[u8] = &[0x1f, 0x43, 0xb6, 0x75];
const OPEN: &[u8] = &[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

fn block(fill: u8) -> Vec<u8> {
    element(&[0xa3], &[&[0x81, 0, 0, 0x80][..], &[fill; 40]].concat())
}

/// The time and three blocks.
fn blocks(stamp: u8) -> Vec<u8> {
    [element(&[0xe7], &[stamp]), block(stamp), block(stamp), block(stamp)].concat()
}

fn cluster(stamp: u8) -> Vec<u8> {
    element(CLUSTER, &blocks(stamp))
}

fn open_cluster(stamp: u8) -> Vec<u8> {
    [CLUSTER, OPEN, &blocks(stamp)].concat()
}

/// Header and tracks of a stream whose segment does not say how long it is.
fn head() -> Vec<u8> {
    let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &[0; 20]);
    [element(&MAGIC, &[0x42, 0x86, 0x81, 1]), vec![0x18, 0x53, 0x80, 0x67], OPEN.to_vec(), tracks].concat()
}

fn survey(bytes: &[u8]) -> Survey {
    walk(Cursor::new(bytes), bytes.len() as u64, &[]).unwrap()
}

fn damages(bytes: &[u8]) -> Vec<(u64, u64, DamageKind)> {
    survey(bytes).damages.iter().map(|damage| (damage.from, damage.to, damage.kind)).collect()
}

fn mended(bytes: &[u8]) -> Vec<u8> {
    let survey = survey(bytes);
    let order = order(Cursor::new(bytes), bytes.len() as u64, &[], &survey).unwrap();
    let mut all = Vec::new();
    Mended::of(Cursor::new(bytes), &survey, order).read_to_end(&mut all).unwrap();
    let hidden = survey.damages.iter().filter(|damage| damage.to - damage.from == 1).count();
    assert_eq!(all.len() + hidden, bytes.len());
    all
}

use DamageKind::{Broken, Cut};

#[test]
fn whole_stream_has_no_damage_however_its_lengths_are_written() {
    for clusters in [[cluster(0), cluster(9)], [open_cluster(0), open_cluster(9)], [open_cluster(0), cluster(9)]] {
        let tags = element(&[0x12, 0x54, 0xc3, 0x67], &[7; 300]);
        let bytes = [head(), clusters.concat(), element(&[0xec], &[0; 200]), tags].concat();
        assert_eq!(survey(&bytes), Survey::default());
        assert_eq!(mended(&bytes), bytes);
    }
}

#[test]
fn cut_is_told_from_its_first_element_that_is_not_whole() {
    let (head, first) = (head(), cluster(0));
    let bytes = [head.clone(), first.clone(), cluster(9)].concat();
    let end = bytes.len() as u64;
    let last = end - block(9).len() as u64;
    // In the last block, between two blocks, in the head of a block.
    assert_eq!(damages(&bytes[..bytes.len() - 1]), [(last, end - 1, Cut)]);
    assert_eq!(damages(&bytes[..last as usize]), [(last, last, Cut)]);
    assert_eq!(damages(&bytes[..last as usize + 1]), [(last, last + 1, Cut)]);
    // A cluster that does not say how long it is ends anywhere between two blocks.
    let open = [head.clone(), open_cluster(0)].concat();
    assert_eq!(damages(&open[..open.len() - block(0).len()]), []);
    // A segment that says so has lost whole clusters.
    let length = (bytes.len() as u64 - 100) | 1 << 56;
    let mut told = bytes.clone();
    let at = told.windows(4).position(|id| id == [0x18, 0x53, 0x80, 0x67]).unwrap() + 4;
    told[at..at + 8].copy_from_slice(&length.to_be_bytes());
    let cut = head.len() + first.len();
    assert_eq!(damages(&told[..cut]), [(cut as u64, cut as u64, Cut)]);
    // An index that is cut has no picture in it.
    let index = [bytes, element(&[0x1c, 0x53, 0xbb, 0x6b], &[1; 300])].concat();
    assert_eq!(damages(&index[..index.len() - 50]), []);
}

#[test]
fn damage_reaches_to_the_next_cluster_and_is_read_as_padding() {
    let (first, third) = (head().len(), head().len() + 2 * cluster(0).len());
    for make in [cluster, open_cluster] {
        let (len, whole) = (make(0).len(), [head(), make(0), make(5), make(9)].concat());
        // Zeros from the middle of a block of the first cluster to the middle of a block of the second one.
        let mut bytes = whole.clone();
        bytes[first + len - 60..first + 2 * len - 60].fill(0);
        let from = (first + len - 2 * block(0).len()) as u64;
        assert_eq!(damages(&bytes), [(from, (first + 2 * len) as u64, Broken)]);
        let mended = mended(&bytes);
        assert_eq!(damages(&mended), [], "padding is no damage");
        assert_eq!(mended[first + 2 * len..], whole[first + 2 * len..]);
        assert_eq!(mended[first + 12..from as usize], whole[first + 12..from as usize]);
    }
    // A cluster that is gone as a whole, and all that is behind it.
    let mut bytes = [head(), cluster(0), cluster(5), cluster(9)].concat();
    let len = cluster(0).len();
    bytes[first + len..first + 2 * len].fill(0);
    assert_eq!(damages(&bytes), [((first + len) as u64, third as u64, Broken)]);
    bytes.truncate(third - 10);
    assert_eq!(damages(&bytes), [((first + len) as u64, third as u64 - 10, Broken)]);
}

#[test]
fn piece_that_was_cut_swallows_nothing_of_the_next_one() {
    let (head, len) = (head().len() as u64, cluster(0).len() as u64);
    let bytes = [self::head(), cluster(0)[..len as usize - 20].to_vec(), cluster(5), cluster(9)].concat();
    let starts = [head, head + len - 20, head + 2 * len - 20];
    let found = walk(Cursor::new(&bytes), bytes.len() as u64, &starts).unwrap();
    assert_eq!(found.stamps, [Some(0), Some(5), Some(9)]);
    let from = head + len - block(0).len() as u64;
    assert_eq!(found.damages, [Damage { from, to: starts[1], kind: Cut }]);
    assert_eq!(found.clusters_cut.len(), 1);
}

#[test]
fn pieces_are_put_in_the_order_of_time_and_copies_are_left_out() {
    let (head, len) = (head(), cluster(0).len() as u64);
    let starts: Vec<u64> = (0..5).map(|n| head.len() as u64 + n * len).collect();
    let ordered = |stamps: [u8; 5]| {
        let bytes = [head.clone(), stamps.map(cluster).concat()].concat();
        let found = walk(Cursor::new(&bytes), bytes.len() as u64, &starts).unwrap();
        let order = order(Cursor::new(&bytes), bytes.len() as u64, &starts, &found).unwrap();
        let mut all = Vec::new();
        let (pieces, copies) = (order.pieces().collect::<Vec<_>>(), order.copies.clone());
        Mended::of(Cursor::new(&bytes), &found, order).read_to_end(&mut all).unwrap();
        (pieces.into_iter().map(|(piece, _)| piece).collect::<Vec<_>>(), copies, all)
    };
    let sorted = |stamps: &[u8]| {
        [head.clone(), stamps.iter().map(|&stamp| cluster(stamp)).collect::<Vec<_>>().concat()].concat()
    };
    assert_eq!(ordered([0, 1, 2, 3, 4]), (vec![0, 1, 2, 3, 4], vec![], sorted(&[0, 1, 2, 3, 4])));
    assert_eq!(ordered([0, 3, 2, 1, 4]), (vec![0, 3, 2, 1, 4], vec![], sorted(&[0, 1, 2, 3, 4])));
    assert_eq!(ordered([0, 1, 1, 3, 4]), (vec![0, 1, 3, 4], vec![(2, 1)], sorted(&[0, 1, 3, 4])));
}

/// Bytes that look like nothing and like everything.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A cluster with its time and three blocks of noise; `open` leaves its length open.
fn noisy(stamp: u8, open: bool) -> Vec<u8> {
    let noise = noise(900);
    let blocks = noise.chunks(300).flat_map(|part| element(&[0xa3], &[&[0x81, 0, 0, 0x80][..], part].concat()));
    let body: Vec<u8> = element(&[0xe7], &[stamp]).into_iter().chain(blocks).collect();
    if open { [CLUSTER, OPEN, &body].concat() } else { element(CLUSTER, &body) }
}

#[test]
fn piece_that_was_cut_anywhere_leaves_the_next_one_whole() {
    for open in [false, true] {
        let (head, [first, cut, third]) = (head(), [0, 5, 9].map(|stamp| noisy(stamp, open)));
        for len in 1..cut.len() {
            let bytes = [&head[..], &first, &cut[..len], &third].concat();
            let second = (head.len() + first.len()) as u64;
            let starts = [head.len() as u64, second, second + len as u64];
            let found = walk(Cursor::new(&bytes), bytes.len() as u64, &starts).unwrap();
            let told = format!("{len} bytes, open: {open}: {found:?}");
            assert_eq!((found.stamps[0], found.stamps[2]), (Some(0), Some(9)), "{told}");
            match &found.damages[..] {
                // Nothing tells that a cluster of open length has lost whole blocks.
                [] => assert!(open, "{told}"),
                [damage] => {
                    assert_eq!((damage.to, damage.kind), (starts[2], Cut), "{told}");
                    assert!(damage.from >= second, "{told}");
                }
                _ => panic!("{told}"),
            }
            let order = order(Cursor::new(&bytes), bytes.len() as u64, &starts, &found).unwrap();
            let mut all = Vec::new();
            Mended::of(Cursor::new(&bytes), &found, order).read_to_end(&mut all).unwrap();
            assert!(all.ends_with(&third), "{told}");
        }
    }
}

#[test]
fn walk_remembers_no_more_than_it_promises_and_loses_the_rest() {
    // A cluster that says it has 126 bytes and has three, again and again.
    let short = [CLUSTER, &[0xfe, 0xe7, 0x81, 0]].concat();
    // The same with a broken block, and an index that is too long outside of any cluster.
    let broken = [cluster(0)[..].to_vec(), vec![0x77; 5]].concat();
    let index = [&[0x1c, 0x53, 0xbb, 0x6b, 0x08, 0xff, 0xff, 0xff, 0xff][..], &cluster(0)].concat();
    for part in [short, broken, index] {
        let bytes = [head(), part.repeat(3 * DAMAGES_MAX)].concat();
        let found = survey(&bytes);
        assert!(found.damages.len() <= DAMAGES_MAX && found.damages.len() + 2 > DAMAGES_MAX, "{}", found.damages.len());
        assert!(found.clusters_cut.len() <= DAMAGES_MAX, "{}", found.clusters_cut.len());
        assert_eq!(found.damages.last().unwrap().to, bytes.len() as u64);
        assert_eq!(damages(&mended(&bytes)), []);
    }
}

/// Numbers of pieces as they are read, and copies, when each begins with one of these clusters.
fn order_of(clusters: &[Vec<u8>]) -> (Vec<usize>, Vec<(usize, usize)>) {
    let mut bytes = head();
    let mut starts = Vec::new();
    for cluster in clusters {
        starts.push(bytes.len() as u64);
        bytes.extend(cluster);
    }
    let found = walk(Cursor::new(&bytes), bytes.len() as u64, &starts).unwrap();
    let order = order(Cursor::new(&bytes), bytes.len() as u64, &starts, &found).unwrap();
    (order.pieces().map(|(piece, _)| piece).collect(), order.copies)
}

#[test]
fn pieces_of_a_clock_that_begins_anew_stay_where_they_are() {
    // A block every 4 from the cluster's time on, alone or in a group, and one of another track that is late.
    let piece = |stamp: u8, fill: u8, grouped: bool| {
        let at = |track: u8, after: i16| {
            let body = [&[track][..], &after.to_be_bytes(), &[0x80], &[fill; 9]].concat();
            if grouped { element(&[0xa0], &element(&[0xa1], &body)) } else { element(&[0xa3], &body) }
        };
        element(CLUSTER, &[element(&[0xe7], &[stamp]), at(0x81, 0), at(0x81, 4), at(0x82, -9), at(0x81, 8)].concat())
    };
    for grouped in [false, true] {
        let order = |stamps: &[(u8, u8)]| {
            order_of(&stamps.iter().map(|&(stamp, fill)| piece(stamp, fill, grouped)).collect::<Vec<_>>())
        };
        // Another recording with the same clock, and with one that is half a piece off.
        assert_eq!(order(&[(0, 1), (10, 1), (20, 1), (0, 2), (10, 2)]), (vec![0, 1, 2, 3, 4], vec![]));
        assert_eq!(order(&[(0, 1), (10, 1), (20, 1), (5, 2), (15, 2)]), (vec![0, 1, 2, 3, 4], vec![]));
        // Names in disorder, and a copy.
        assert_eq!(order(&[(0, 1), (20, 1), (10, 1), (30, 1), (10, 1)]), (vec![0, 2, 1, 3], vec![(4, 2)]));
        // The copy of a piece is left out whatever the others do.
        assert_eq!(order(&[(0, 1), (10, 1), (0, 2), (10, 1)]), (vec![0, 1, 2], vec![(3, 1)]));
    }
}

#[test]
fn damage_of_one_byte_is_left_out() {
    let (head, len) = (head(), cluster(0).len());
    let at = (head.len() + len) as u64;
    // Inside the stream, in one piece and as the end of a piece.
    for starts in [vec![], vec![head.len() as u64, at + 1]] {
        let bytes = [&head[..], &cluster(0), &[0xa3], &cluster(9)].concat();
        let found = walk(Cursor::new(&bytes), bytes.len() as u64, &starts).unwrap();
        assert_eq!(found.damages.iter().map(|damage| (damage.from, damage.to)).collect::<Vec<_>>(), [(at, at + 1)]);
        let order = order(Cursor::new(&bytes), bytes.len() as u64, &starts, &found).unwrap();
        assert_eq!((order.place_of(at), order.place_of(at + 1)), (Some(at), Some(at)));
        assert_eq!(
            order.pieces().map(|(_, at)| at).collect::<Vec<_>>(),
            starts.iter().map(|from| (*from).min(at)).collect::<Vec<_>>()
        );
        let mut all = Vec::new();
        Mended::of(Cursor::new(&bytes), &found, order).read_to_end(&mut all).unwrap();
        assert_eq!(all, [&head[..], &cluster(0), &cluster(9)].concat());
    }
    // Of a longer one that a piece begins in, and of a piece that is nothing else.
    let bytes = [&head[..], &cluster(0), &[0x77; 9], &cluster(9)].concat();
    let starts = [head.len() as u64, at + 1, at + 2, at + 9];
    let found = walk(Cursor::new(&bytes), bytes.len() as u64, &starts).unwrap();
    let order = order(Cursor::new(&bytes), bytes.len() as u64, &starts, &found).unwrap();
    assert_eq!(order.pieces().collect::<Vec<_>>(), [(0, starts[0]), (1, at), (2, at), (3, at + 7)]);
    let mut all = Vec::new();
    Mended::of(Cursor::new(&bytes), &found, order).read_to_end(&mut all).unwrap();
    assert_eq!(all, [&head[..], &cluster(0), &[0xec, 0x85], &[0x77; 5], &cluster(9)].concat());
}
