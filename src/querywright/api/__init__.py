"""What a target API is: definition, schema, call and its canonical form, grammar, executors."""
