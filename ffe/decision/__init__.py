"""From checked bars to one decision with an author: context, prompt, schema, validation, record."""
