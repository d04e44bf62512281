"""The usual wrong paths from a photograph to the model: what each costs, and which of them explains an app's answer."""
