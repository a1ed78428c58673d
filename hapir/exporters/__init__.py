"""What hapir's networks become in the formats of others."""
