"""Flow: mailboxes, emission scopes, watermarks and the sink actor. Knows no channel and no wire format."""
