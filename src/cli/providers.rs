//! `tokenward providers`.

use clap::{Args, Subcommand};

use super::{Failure, print};
use crate::catalogue::{entries, find, names};

#[derive(Args, Debug)]
pub(super) struct ProvidersArgs {
    #[command(subcommand)]
    command: Option<ProvidersCommand>,
}

#[derive(Debug, Subcommand)]
enum ProvidersCommand {
    /// The presets, a line each (the default)
    List,
    /// One document, whole
    Show {
        /// The preset's name
        name: String,
    },
}

pub(super) fn run(args: ProvidersArgs) -> Result<(), Failure> {
    match args.command.unwrap_or(ProvidersCommand::List) {
        ProvidersCommand::List => {
            let width = names().map(str::len).max().unwrap_or_default();
            entries()
                .iter()
                .try_for_each(|(name, entry)| print(&format!("{name:width$}  {}\n", entry.title)))
        }
        ProvidersCommand::Show { name } => {
            let entry = find(&name).map_err(|error| Failure::Usage(error.message().to_owned()))?;
            let text =
                serde_yaml::to_string(entry).map_err(|error| Failure::Failed(error.to_string()))?;
            print(&text)
        }
    }
}
