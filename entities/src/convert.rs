//! Row ⇄ domain.

use crate::spool::{listing, recording, segment};
use domain::completeness::Declaration;
use domain::id::{OwnerId, RecordingId, Sha256};
use domain::mux::Gap;
use domain::playlist::{ListingKind, ListingRow};
use domain::recording::{Door, Policy, Source, State};
use domain::segment::{CodecFacts, Row, Span, Track};
use serde::Deserialize;
use thiserror::Error;

/// A row whose column holds what cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("column {column} of {table} holds {value}")]
pub struct InvalidRow {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// What was found in it.
    pub value: String,
}

/// What decisions about a recording are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The recording.
    pub id: RecordingId,
    /// Whose it is.
    pub owner: OwnerId,
    /// Who writes its segments.
    pub source: Source,
    /// What holes do.
    pub policy: Policy,
    /// Its state.
    pub state: State,
    /// Its end was silence.
    pub provisional: bool,
    /// The completion call has come.
    pub signalled: bool,
    /// What the recorder said it made.
    pub declared: Option<Declaration>,
    /// The plan being made or served.
    pub plan_version: u32,
    /// The newest plan that can no longer change; 0 when there is none.
    pub frozen_version: u32,
    /// An operator takes the holes as they are.
    pub gaps_accepted: bool,
    /// The holes of the result.
    pub gaps: Vec<Gap>,
}

impl Facts {
    /// What accept needs to know.
    pub fn door(&self) -> Door {
        let frozen = self.frozen_version >= self.plan_version;
        Door { state: self.state, provisional: self.provisional, frozen }
    }
}

impl TryFrom<&recording::Model> for Facts {
    type Error = InvalidRow;

    fn try_from(row: &recording::Model) -> Result<Self, InvalidRow> {
        let at = Table("spool.recording");
        let declared =
            row.declared.as_ref().map(|json| Declaration::deserialize(json).map_err(|_| at.invalid("declared", json)));
        Ok(Facts {
            id: RecordingId::parse(&row.id).map_err(|_| at.invalid("id", &row.id))?,
            owner: OwnerId::parse(&row.owner_id).map_err(|_| at.invalid("owner_id", &row.owner_id))?,
            source: at.word("source", &row.source, Source::parse)?,
            policy: at.word("policy", &row.policy, Policy::parse)?,
            state: at.word("state", &row.state, State::parse)?,
            provisional: row.provisional,
            signalled: row.signalled_at.is_some(),
            declared: declared.transpose()?,
            plan_version: at.number("plan_version", row.plan_version)?,
            frozen_version: at.number("frozen_version", row.frozen_version)?,
            gaps_accepted: row.gaps_accepted,
            gaps: Vec::deserialize(&row.gaps).map_err(|_| at.invalid("gaps", &row.gaps))?,
        })
    }
}

impl TryFrom<&segment::Model> for Row {
    type Error = InvalidRow;

    fn try_from(row: &segment::Model) -> Result<Self, InvalidRow> {
        let at = Table("spool.segment");
        let span = match (row.timescale, row.tfdt, row.duration) {
            (Some(timescale), Some(start), Some(duration)) => Some(Span {
                timescale: at.number("timescale", timescale)?,
                start: at.number("tfdt", start)?,
                duration: at.number("duration", duration)?,
            }),
            // The initialization section has a timescale and no place on the axis.
            (_, None, None) => None,
            (timescale, start, duration) => {
                return Err(
                    at.invalid("tfdt", format!("{start:?} beside timescale {timescale:?} and duration {duration:?}"))
                );
            }
        };
        Ok(Row {
            track: at.word("track", &row.track, Track::parse)?,
            index: at.number("index", row.index)?,
            state: at.word("state", &row.state, domain::segment::State::parse)?,
            size_bytes: at.number("size_bytes", row.size_bytes)?,
            sha256: row.sha256.as_deref().map(|bytes| at.digest(bytes)).transpose()?,
            span,
            defect: row.defect.clone(),
        })
    }
}

impl segment::Model {
    /// What an initialization section says of its track; nothing for a media segment.
    ///
    /// # Errors
    /// [`InvalidRow`] when the column holds something else.
    pub fn codec_facts(&self) -> Result<Option<CodecFacts>, InvalidRow> {
        let read = |json| CodecFacts::deserialize(json).map_err(|_| Table("spool.segment").invalid("codec", json));
        self.codec.as_ref().map(read).transpose()
    }
}

impl TryFrom<&listing::Model> for ListingRow {
    type Error = InvalidRow;

    fn try_from(row: &listing::Model) -> Result<Self, InvalidRow> {
        let at = Table("spool.listing");
        Ok(ListingRow {
            track: at.word("track", &row.track, Track::parse)?,
            seq: at.number("seq", row.seq)?,
            index: at.number("index", row.index)?,
            kind: at.word("kind", &row.kind, ListingKind::parse)?,
            duration: at.number("duration", row.duration)?,
            timescale: at.number("timescale", row.timescale)?,
            discontinuity: row.discontinuity,
            program_date_time: row.program_date_time,
        })
    }
}

/// Names the column in which something impossible was found.
#[derive(Clone, Copy)]
struct Table(&'static str);

impl Table {
    fn invalid(self, column: &'static str, value: impl ToString) -> InvalidRow {
        InvalidRow { table: self.0, column, value: value.to_string() }
    }

    fn digest(self, bytes: &[u8]) -> Result<Sha256, InvalidRow> {
        Sha256::from_slice(bytes).ok_or_else(|| self.invalid("sha256", format!("{} bytes", bytes.len())))
    }

    fn word<T>(self, column: &'static str, text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, InvalidRow> {
        parse(text).ok_or_else(|| self.invalid(column, text))
    }

    fn number<T: TryFrom<i64>>(self, column: &'static str, number: impl Into<i64>) -> Result<T, InvalidRow> {
        let number = number.into();
        T::try_from(number).map_err(|_| self.invalid(column, number))
    }
}
