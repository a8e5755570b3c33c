//! `ace explain`: what ACE saw in a program, what it decided and why, from a trace. Floor: tool.
//!
//! | file | owns |
//! |---|---|
//! | `lines` | the trace's lines, read |
//! | `story` | what they tell, in figures |
//! | `phases`, `decisions` | parts of it |
//! | `text`, `plot` | what the user sees |

mod decisions;
mod lines;
mod phases;
mod plot;
mod story;
mod text;

use crate::{
    Trouble,
    put::{print, put},
};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// The trace: what `ace run --trace` or ACE_TRACE wrote.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Draw a timeline: memory, what was given back, decisions, dials.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print the account as JSON.
    #[arg(long)]
    json: bool,
    /// Explain this process; without, the one that took the most turns.
    #[arg(long)]
    pid: Option<u64>,
}

/// Explains a trace; 0 if it could.
pub fn explain(args: &Args) -> Result<u8, Trouble> {
    let lines::Traces { traces, mut notes } = lines::read(&args.file)?;
    let chosen = traces
        .iter()
        .filter(|trace| args.pid.is_none_or(|pid| pid == trace.pid))
        // Of equal ones the first.
        .rev()
        .max_by_key(|trace| trace.turns.len())
        .ok_or_else(|| {
            Trouble::own(format_args!("{}: has no such process", args.file.display()))
        })?;
    let others = traces.len() - 1;
    if others > 0 && args.pid.is_none() {
        let programs = if others == 1 { "program" } else { "programs" };
        notes.push(format!("the file holds {others} more {programs}; --pid explains another one"));
    }
    let story = story::tell(chosen, notes);
    if let Some(path) = &args.svg {
        put(path, &plot::plot(&story, chosen).map_err(Trouble::own)?)?;
    }
    if args.json {
        let json = serde_json::to_string_pretty(&story).map_err(|error| {
            Trouble::own(format_args!("the account can't be written as JSON: {error}"))
        })?;
        print(&(json + "\n"))?;
    } else if args.svg.as_ref().is_none_or(|path| path.as_os_str() != "-") {
        print(&text::text(&story))?;
    }
    Ok(0)
}
