//! `ace agents`: policies for the GPU memory of many agents, simulated and compared. Floor: tool.
//!
//! | file | owns |
//! |---|---|
//! | `args` | the options that the commands share |
//! | `sweep` | a setting that takes several values |
//! | `compare`, `simulate`, `replay` | a command each |
//! | `output` | where the rows go |
//! | `table`, `sustained`, `plot` | what the user sees |

mod args;
mod compare;
mod output;
mod plot;
mod replay;
mod simulate;
mod sustained;
mod sweep;
mod table;

use crate::Trouble;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Run one policy once and report what happened.
    Simulate(simulate::Args),
    /// Compare policies on the requests of a real trace.
    Replay(replay::Args),
    /// Compare policies on a generated workload.
    Compare(compare::Args),
}

/// Runs a command; 0 if it could.
pub fn agents(command: &Command) -> Result<u8, Trouble> {
    match command {
        Command::Simulate(args) => simulate::simulate(args)?,
        Command::Replay(args) => replay::replay(args)?,
        Command::Compare(args) => compare::compare(args)?,
    }
    Ok(0)
}
