"""For programs: REST, chat in OpenAI's form, MCP, metrics."""
