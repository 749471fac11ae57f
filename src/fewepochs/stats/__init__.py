"""From curves to crossings, and from crossings to answers."""
