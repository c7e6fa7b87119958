const appName = import.meta.env.VITE_APP_NAME || 'Laravel';

window.Pusher = new Pusher(import.meta.env.VITE_PUSHER_APP_KEY);
document.title = appName;
