//! Reads Mooncake's JSONL: `{"timestamp": ms, "input_length": tokens, "output_length": tokens, "hash_ids":
//! [...]}`, a request a line. Floor: tool.

use super::{Clock, MOST_TOKENS, Problem, Request, TraceError, in_range};
use serde::Deserialize;
use std::io::BufRead;

#[derive(Deserialize)]
struct Line {
    timestamp: i64,
    input_length: i64,
    output_length: i64,
    hash_ids: Vec<u64>,
}

/// The requests of a trace, one line at a time. Fields that the format does not have and lines without
/// text are passed over.
///
/// # Errors
/// Each item: [`TraceError::Io`], or [`TraceError::Line`] with the line's number.
pub fn mooncake(file: impl BufRead) -> impl Iterator<Item = Result<Request, TraceError>> {
    let mut clock = Clock::default();
    (1..).zip(file.lines()).filter_map(move |(number, line)| match line {
        Ok(line) if line.trim().is_empty() => None,
        Ok(line) => Some(request(&line, &mut clock).map_err(|problem| problem.at(number))),
        Err(error) => Some(Err(error.into())),
    })
}

fn request(line: &str, clock: &mut Clock) -> Result<Request, Problem> {
    let line: Line = serde_json::from_str(line).map_err(|error| {
        // What it says of the place counts the lines of this line.
        let said = error.to_string();
        let what = said.split(" at line ").next().unwrap_or(&said);
        Problem::NotMooncake(format!("{what} (column {})", error.column()))
    })?;
    Ok(Request {
        at_ms: clock.check("timestamp", line.timestamp)?,
        prompt_tokens: in_range("input_length", line.input_length, MOST_TOKENS)?,
        answer_tokens: in_range("output_length", line.output_length, MOST_TOKENS)?,
        blocks: line.hash_ids.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("samples/mooncake.jsonl");

    fn read(text: &str) -> Result<Vec<Request>, TraceError> {
        mooncake(text.as_bytes()).collect()
    }

    fn problem(text: &str) -> (u64, String) {
        match read(text).expect_err(text) {
            TraceError::Line { line, problem } => (line, problem.to_string()),
            other => panic!("{text}: {other}"),
        }
    }

    #[test]
    fn every_line_is_a_request() {
        let requests = read(SAMPLE).expect("a good sample");
        assert_eq!(requests.len(), SAMPLE.lines().count());
        let first =
            Request { at_ms: 0, prompt_tokens: 1400, answer_tokens: 120, blocks: [0, 1, 2].into() };
        assert_eq!(requests[0], first);
    }

    #[test]
    fn empty_lines_other_fields_and_windows_line_ends_do_no_harm() {
        let text = "\r\n{\"timestamp\":5,\"input_length\":1,\"output_length\":0,\"hash_ids\":[],\"type\":\"chat\"}\r\n\n";
        assert_eq!(read(text).expect("fine").len(), 1);
        assert_eq!(read("").expect("nothing is no error here").len(), 0);
    }

    #[test]
    fn a_bad_line_is_named_with_its_number_and_what_is_wrong_with_it() {
        let good =
            "{\"timestamp\": 10, \"input_length\": 5, \"output_length\": 5, \"hash_ids\": [1]}\n";
        for (bad, why) in [
            ("{\"timestamp\": 10", "EOF"),
            ("not json", "expected"),
            ("[]", "invalid length 0"),
            ("{\"timestamp\": 10, \"input_length\": 5, \"hash_ids\": []}", "`output_length`"),
            (
                "{\"timestamp\": 10, \"input_length\": -5, \"output_length\": 5, \"hash_ids\": []}",
                "input_length is -5, which is not from 0 to 16777216",
            ),
            (
                "{\"timestamp\": 10, \"input_length\": 99999999, \"output_length\": 5, \"hash_ids\": []}",
                "input_length is 99999999",
            ),
            (
                "{\"timestamp\": 10, \"input_length\": 1.5, \"output_length\": 5, \"hash_ids\": []}",
                "floating point",
            ),
            (
                "{\"timestamp\": 10, \"input_length\": 5, \"output_length\": 5, \"hash_ids\": [-1]}",
                "-1",
            ),
            (
                "{\"timestamp\": 9, \"input_length\": 5, \"output_length\": 5, \"hash_ids\": []}",
                "time runs backwards, from 10 ms to 9 ms",
            ),
            (
                "{\"timestamp\": -1, \"input_length\": 5, \"output_length\": 5, \"hash_ids\": []}",
                "time runs backwards, from 10 ms to -1 ms",
            ),
        ] {
            let (line, said) = problem(&format!("{good}\n{bad}\n{good}"));
            assert_eq!(line, 3, "{bad}");
            assert!(said.contains(why), "{bad}: {said}");
        }
    }

    #[test]
    fn times_before_the_beginning_and_after_ten_years_are_refused() {
        for time in ["-1", "999999999999"] {
            let text = format!(
                "{{\"timestamp\":{time},\"input_length\":1,\"output_length\":1,\"hash_ids\":[]}}"
            );
            let (line, said) = problem(&text);
            assert_eq!(line, 1);
            assert!(
                said.starts_with(&format!("timestamp is {time}, which is not from 0 to")),
                "{said}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_an_error() {
        let requests: Result<Vec<_>, _> = mooncake(&b"\xFF\xFE\n"[..]).collect();
        assert!(matches!(requests, Err(TraceError::Io(_))));
    }
}
