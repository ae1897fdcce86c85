// SPDX-License-Identifier: Apache-2.0

package dialect

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// azure is Azure IoT Hub (learn.microsoft.com/azure/iot-hub/iot-hub-mqtt-support): MQTT 3.1.1 over TLS, messages of
// 256 KB, a keep-alive of 1767 s at most, no QoS 2, nothing retained, and topics that are given:
//
//	devices/{device}/messages/events/{properties}        what the device sends, its will too
//	devices/{device}/messages/devicebound/{properties}   what comes to it
//
// The properties are an encoded list as in a web address. The topic of ours travels there, as "topic".
func azure() *Dialect {
	return &Dialect{
		title: "Azure IoT Hub", versions: []byte{4}, qos: 1, payload: 256 << 10, clientID: 128, keepAlive: 1767 * time.Second,
		encrypted: true, spelling: azureSpelling{},
		check: func(s *Settings, report func(key, problem string)) {
			if strings.ContainsAny(s.ClientID, "/+# ") {
				report("client_id", "must be the id of the device at Azure IoT Hub, which has none of / + # and space")
			}
			if s.HasPassword == s.HasCert {
				report("password", "Azure IoT Hub wants one of both: the key of the device, or a token, as password; or cert and key")
			}
			for _, v := range s.Servers {
				if want := AzureUser(v.Host, s.ClientID); s.Username != "" && !strings.HasPrefix(s.Username, strings.SplitAfter(want, "?")[0]) {
					report("username", fmt.Sprintf("Azure IoT Hub wants %q; leave it out, edged writes it", want))
				}
			}
		},
	}
}

// AzureUser is the user name of a device.
func AzureUser(host, device string) string { return host + "/" + device + "/?api-version=2021-04-12" }

type azureSpelling struct{}

const azureTopic = "topic" // the property that has the topic of ours

func (azureSpelling) out(s *Settings, m Message) (Message, bool) {
	bag := azureTopic + "=" + url.QueryEscape(m.Topic) + "&%24.ct=application%2Fjson&%24.ce=utf-8"
	if len(m.Payload) == 0 || m.Payload[0] != '{' {
		bag = azureTopic + "=" + url.QueryEscape(m.Topic)
	}
	return Message{Topic: "devices/" + s.ClientID + "/messages/events/" + bag, Payload: m.Payload}, true
}

func (azureSpelling) in(s *Settings, m Message) (Message, bool) {
	bag, ok := strings.CutPrefix(m.Topic, "devices/"+s.ClientID+"/messages/devicebound/")
	if !ok {
		return Message{}, false
	}
	values, err := url.ParseQuery(bag)
	if topic := values.Get(azureTopic); err == nil && topic != "" {
		return Message{Topic: topic, Payload: m.Payload}, true
	}
	return Message{}, false
}

func (azureSpelling) filters(s *Settings) []string {
	return []string{"devices/" + s.ClientID + "/messages/devicebound/#"}
}

const (
	tokenPrefix = "SharedAccessSignature "
	tokenLife   = 24 * time.Hour
	// TokenSlack is how long before its end a token is replaced.
	TokenSlack = 10 * time.Minute
)

// AzureToken is what a device shows as its password, and when it ends: the secret itself where that is a token, else one
// that is signed with the secret, which is the device's key (learn.microsoft.com/azure/iot-hub/authenticate-authorize-sas:
// HMAC-SHA256 over the encoded resource and the end, with the decoded key).
func AzureToken(secret []byte, host, device string, now time.Time) (token []byte, ends time.Time, err error) {
	text := strings.TrimSpace(string(secret))
	if bag, ok := strings.CutPrefix(text, tokenPrefix); ok {
		values, err := url.ParseQuery(bag)
		if err != nil {
			return nil, time.Time{}, errors.New("the token for Azure IoT Hub is damaged") // not what is in it
		}
		n, err := strconv.ParseInt(values.Get("se"), 10, 64)
		if err != nil {
			return nil, time.Time{}, errors.New("the token for Azure IoT Hub does not say when it ends (se)")
		}
		return []byte(text), time.Unix(n, 0), nil
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) == 0 {
		return nil, time.Time{}, errors.New(`the password for Azure IoT Hub is neither the key of a device (base64) nor a token ("SharedAccessSignature …")`)
	}
	ends = now.Add(tokenLife)
	resource, end := url.QueryEscape(host+"/devices/"+device), strconv.FormatInt(ends.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(resource + "\n" + end))
	sig := url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return []byte(tokenPrefix + "sr=" + resource + "&sig=" + sig + "&se=" + end), ends, nil
}
