//! Reads Azure's CSV: `TIMESTAMP,ContextTokens,GeneratedTokens`. Floor: tool.

use super::{Clock, MOST_TOKENS, Problem, Request, TraceError, in_range};
use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use std::io::Read;

const COLUMNS: [&str; 3] = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"];

/// The requests of a trace, one row at a time. Times count from the first request. The columns may stand
/// in any order and among others.
///
/// # Errors
/// Each item: [`TraceError::Io`], or [`TraceError::Line`] with the line's number.
pub fn azure(file: impl Read) -> impl Iterator<Item = Result<Request, TraceError>> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(file);
    let mut columns = None;
    let (mut row, mut first_ms, mut clock) = (StringRecord::new(), None, Clock::default());
    std::iter::from_fn(move || {
        let columns = match columns {
            Some(columns) => columns,
            None => match find_columns(reader.headers()) {
                Ok(found) => *columns.insert(found?),
                Err(error) => return Some(Err(error)),
            },
        };
        match reader.read_record(&mut row) {
            Ok(false) => None,
            Ok(true) => {
                let line = row.position().map_or(0, csv::Position::line);
                let request = request(&row, columns, &mut first_ms, &mut clock);
                Some(request.map_err(|problem| problem.at(line)))
            }
            Err(error) => Some(Err(in_words(error))),
        }
    })
}

/// `None`: there is no header, and no file to speak of.
fn find_columns(
    headers: Result<&StringRecord, csv::Error>,
) -> Result<Option<[usize; 3]>, TraceError> {
    let headers = headers.map_err(in_words)?;
    if headers.is_empty() {
        return Ok(None);
    }
    let mut found = [0; 3];
    for (at, column) in found.iter_mut().zip(COLUMNS) {
        let place = headers.iter().position(|header| header == column);
        *at = place.ok_or_else(|| Problem::MissingColumn(column).at(1))?;
    }
    Ok(Some(found))
}

fn in_words(error: csv::Error) -> TraceError {
    let line = error.position().map_or(1, csv::Position::line);
    match error.into_kind() {
        ErrorKind::Io(error) => TraceError::Io(error),
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Problem::NotCsv(format!("it has {len} fields where the header has {expected_len}"))
                .at(line)
        }
        ErrorKind::Utf8 { err, .. } => Problem::NotCsv(err.to_string()).at(line),
        other => Problem::NotCsv(format!("{other:?}")).at(line),
    }
}

fn request(
    row: &StringRecord,
    columns: [usize; 3],
    first_ms: &mut Option<i64>,
    clock: &mut Clock,
) -> Result<Request, Problem> {
    // The reader has checked the number of fields.
    let [time, prompt, answer] = columns.map(|column| row.get(column).unwrap_or_default());
    let time_ms = milliseconds(time).ok_or_else(|| Problem::BadTime(time.to_owned()))?;
    let first_ms = *first_ms.get_or_insert(time_ms);
    let tokens = |column: &'static str, text: &str| {
        let number = text.parse();
        let number = number.map_err(|_| Problem::BadNumber { column, text: text.to_owned() })?;
        in_range(column, number, MOST_TOKENS)
    };
    Ok(Request {
        at_ms: clock.check(COLUMNS[0], time_ms - first_ms)?,
        prompt_tokens: tokens(COLUMNS[1], prompt)?,
        answer_tokens: tokens(COLUMNS[2], answer)?,
        blocks: Box::default(),
    })
}

/// Without an offset, the time is taken for UTC: only differences count.
fn milliseconds(text: &str) -> Option<i64> {
    let time = text.parse::<Timestamp>().ok().or_else(|| {
        let time = text.parse::<DateTime>().ok()?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
    });
    time.map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("samples/azure.csv");
    const HEADER: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n";

    fn read(text: &str) -> Result<Vec<Request>, TraceError> {
        azure(text.as_bytes()).collect()
    }

    #[test]
    fn every_row_is_a_request_and_time_begins_with_the_first() {
        let requests = read(SAMPLE).expect("a good sample");
        assert_eq!(requests.len(), SAMPLE.lines().count() - 1);
        assert_eq!(requests[0].at_ms, 0);
        assert_eq!((requests[0].prompt_tokens, requests[0].answer_tokens), (310, 40));
        assert!(requests.iter().all(|request| request.blocks.is_empty()));
    }

    #[test]
    fn times_with_and_without_an_offset_and_columns_in_any_order_are_read() {
        let text = "GeneratedTokens,Extra,TIMESTAMP,ContextTokens\r\n\
                    7,x,2024-05-10 00:00:00.009930+00:00,300\r\n\
                    8,y,2024-05-10 00:00:01.109930+00:00,301\r\n";
        let requests = read(text).expect("fine");
        assert_eq!((requests[1].at_ms, requests[1].prompt_tokens), (1100, 301));
        let text = format!("{HEADER}2023-11-16 23:59:59.9000000,1,2\n2023-11-17 00:00:00.1,3,4");
        assert_eq!(read(&text).expect("fine")[1].at_ms, 200);
    }

    #[test]
    fn a_file_without_rows_has_no_requests() {
        assert_eq!(read("").expect("fine"), []);
        assert_eq!(read(HEADER).expect("fine"), []);
    }

    #[test]
    fn a_bad_line_is_named_with_its_number_and_what_is_wrong_with_it() {
        let good = "2023-11-16 18:00:01.0,5,6\n";
        for (bad, why) in [
            ("2023-11-16 18:00:02.0,5", "it has 2 fields where the header has 3"),
            ("2023-11-16 18:00:02.0,5,6,7", "it has 4 fields"),
            ("yesterday,5,6", "'yesterday' is no date and time"),
            ("2023-13-16 18:00:02.0,5,6", "is no date and time"),
            ("2023-11-16 18:00:02.0,five,6", "ContextTokens is 'five', which is no whole number"),
            ("2023-11-16 18:00:02.0,,6", "ContextTokens is ''"),
            ("2023-11-16 18:00:02.0,5,-6", "GeneratedTokens is -6, which is not from 0 to"),
            ("2023-11-16 18:00:02.0,99999999,6", "ContextTokens is 99999999"),
            ("2023-11-16 18:00:00.5,5,6", "time runs backwards"),
            ("1923-11-16 18:00:00.5,5,6", "time runs backwards"),
            ("2123-11-16 18:00:00.5,5,6", "TIMESTAMP is"),
        ] {
            let text = format!("{HEADER}{good}{bad}\n{good}");
            match read(&text).expect_err(bad) {
                TraceError::Line { line, problem } => {
                    assert_eq!(line, 3, "{bad}");
                    assert!(problem.to_string().contains(why), "{bad}: {problem}");
                }
                other => panic!("{bad}: {other}"),
            }
        }
    }

    #[test]
    fn a_missing_column_is_named_once() {
        let text = "TIMESTAMP,ContextTokens\n2023-11-16 18:00:01.0,5\n";
        let mut requests = azure(text.as_bytes());
        let said = requests.next().expect("an error").expect_err("an error").to_string();
        assert_eq!(said, "line 1: the header has no column GeneratedTokens");
    }
}
