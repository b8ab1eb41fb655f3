//! The one date format of SigV4: `YYYYMMDDTHHMMSSZ`.

use std::time::UNIX_EPOCH;

use weir_types::clock::Timestamp;

/// A moment as SigV4 spells it, with its position in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AmzDate {
    text: [u8; 16],
    /// Seconds since the Unix epoch.
    pub(crate) secs: u64,
}

impl AmzDate {
    /// Parses the form of `x-amz-date` and `X-Amz-Date`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text: [u8; 16] = text.as_bytes().try_into().ok()?;
        if text[8] != b'T' || text[15] != b'Z' {
            return None;
        }
        let number = |from: usize, until: usize| {
            text[from..until].iter().try_fold(0_u32, |sum, b| {
                b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0'))
            })
        };
        let small = |from| number(from, from + 2).and_then(|n| u8::try_from(n).ok());
        let month = time::Month::try_from(small(4)?).ok()?;
        let date = time::Date::from_calendar_date(number(0, 4)?.cast_signed(), month, small(6)?);
        let moment = date
            .ok()?
            .with_hms(small(9)?, small(11)?, small(13)?)
            .ok()?
            .assume_utc();
        Some(Self {
            text,
            secs: u64::try_from(moment.unix_timestamp()).ok()?,
        })
    }

    /// Reads a `Date` header (RFC 9110, section 5.6.7) in its place.
    pub(crate) fn from_http_date(text: &str) -> Option<Self> {
        let moment = httpdate::parse_http_date(text).ok()?;
        let secs = moment.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let at = time::OffsetDateTime::from_unix_timestamp(i64::try_from(secs).ok()?).ok()?;
        Self::parse(&format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        ))
    }

    /// `YYYYMMDDTHHMMSSZ`.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.text).expect("only ASCII was accepted")
    }

    /// `YYYYMMDD`.
    pub(crate) fn day(&self) -> &str {
        &self.text()[..8]
    }

    /// How far this is from `now`, in seconds; positive when it lies in the future.
    pub(crate) fn ahead_of(&self, now: Timestamp) -> i64 {
        self.secs
            .cast_signed()
            .saturating_sub(now.as_secs().cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_only_the_one_form() {
        let date = AmzDate::parse("20130524T000000Z").expect("AWS's own example");
        assert_eq!((date.secs, date.day()), (1_369_353_600, "20130524"));
        assert_eq!(
            AmzDate::from_http_date("Fri, 24 May 2013 00:00:00 GMT"),
            Some(date)
        );
        for bad in [
            "",
            "20130524",
            "20130524T000000",
            "20130524T000000z",
            "20131324T000000Z",
            "20130532T000000Z",
            "20130524T240000Z",
            "2013-524T000000Z",
            "20130524T0000:0Z",
            "+0130524T000000Z",
            "19691231T235959Z",
            "２0130524T000Z",
        ] {
            assert_eq!(AmzDate::parse(bad), None, "{bad}");
        }
    }
}
