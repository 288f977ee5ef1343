"""Tables, figures and pages made of finished numbers."""
