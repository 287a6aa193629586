// told to the browser
