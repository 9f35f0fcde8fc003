"""What a case can prove: certificate, checks of it, closing, runs that came back."""
