raise SystemExit("disabled folders are passed over")
