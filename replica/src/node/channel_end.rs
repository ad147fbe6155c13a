//! The replica's end of the control channel, with what the loop needs of it.

use crate::ReplicaError;
use crate::control::{Command, ControlChannel, Report};

/// The control channel of a running replica.
pub(super) struct ChannelEnd<'a>(pub(super) &'a mut ControlChannel);

impl ChannelEnd<'_> {
    /// Waits for the next command.
    pub(super) async fn command(&mut self) -> Result<Command, ReplicaError> {
        match self.0.commands.recv().await {
            Some(Ok(command)) => Ok(command),
            Some(Err(error)) => Err(ReplicaError::Control(error.to_string())),
            None => Err(ReplicaError::ControlClosed),
        }
    }

    /// Reports something.
    pub(super) fn report(&mut self, report: &Report) -> Result<(), ReplicaError> {
        (self.0.reports)(report).map_err(|_| ReplicaError::ControlClosed)
    }
}
