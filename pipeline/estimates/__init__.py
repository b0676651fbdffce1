"""What a render would take, told before anything is rented: pure functions of the catalogue and of measurements."""
