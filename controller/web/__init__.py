"""The officer's page: forms and JSON to actions, HTML and events back."""
